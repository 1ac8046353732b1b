/**
 * The public API.
 *
 * ```ts
 * import { createEchoServer } from 'kecho-pool';
 *
 * await using server = createEchoServer({ strategy: 'cmwq', port: 0 });
 * const { address, port } = await server.listen();
 * ```
 */
import type { Logger } from 'pino';
import { checkMethods, checkObject, type EchoServerOptions } from './options/index.ts';
import { EchoServer } from './server/server.ts';
import { whyUnsupported } from './sys/node-version.ts';

export type { EchoServerOptions } from './options/index.ts';
export { LOG_LEVELS, type LogLevel, STRATEGIES, type StrategyName, UsageError } from './options/index.ts';
export type { ServerState, ServerStats, ServerStatus } from './schema/status.ts';
export type { CloseResult, EchoServer } from './server/server.ts';
export { SysError } from './sys/libc.ts';
export type { SocketAddress } from './sys/sockaddr.ts';

/** The methods of a logger that the server calls. */
const LOGGER_METHODS = ['error', 'warn', 'info', 'debug', 'trace', 'child', 'isLevelEnabled'];

/**
 * Creates a server that is not listening yet. Options and defaults are those of the command line, but it logs only with
 * `logLevel` or with a pino `logger`, which replaces the one that `logLevel` and `pretty` configure.
 * Throws UsageError, which names the option, the value and what is allowed, and Error under an unsuitable Node.
 */
export function createEchoServer(options: EchoServerOptions & { logger?: Logger } = {}): EchoServer {
  const why = whyUnsupported();
  if (why !== null) throw new Error(why);
  checkObject(options, 'options');
  const { logger, ...rest } = options;
  if (logger !== undefined) checkMethods(logger, 'logger', LOGGER_METHODS, 'a pino logger');
  return new EchoServer(rest.logLevel === undefined ? { ...rest, logLevel: 'silent' } : rest, logger);
}
