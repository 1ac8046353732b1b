/**
 * The log: pino, as JSON lines or for people. Written synchronously, so a line is out when the call returns.
 *
 * What must not happen: bytes from clients in a log. Only counts, addresses, ids and error codes go in.
 */
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import { build } from 'pino-pretty';
import type { Limits } from './limits.ts';
import { somaxconn } from './listener.ts';
import type { EffectiveOptions } from './options.ts';
import type { SocketAddress } from './sys/sockaddr.ts';

/** A logger on standard output with the level and form of the options. */
export function createLogger(options: Pick<EffectiveOptions, 'logLevel' | 'pretty'>): Logger {
  const stream: DestinationStream = options.pretty
    ? build({
        sync: true,
        singleLine: true,
        colorize: process.stdout.isTTY === true,
        ignore: 'pid,hostname',
        translateTime: 'HH:MM:ss.l',
      })
    : destination({ dest: 1, sync: true });
  return pino({ level: options.logLevel, base: { pid: process.pid } }, stream);
}

/** The line `listening`: where, how, and within which limits. */
export function logListening(
  log: Logger,
  bound: SocketAddress,
  options: EffectiveOptions,
  limits: Limits,
  threads: number,
): void {
  const { strategy, backlog, workers, cpus, maxQueue } = options;
  const { maxConnections, maxWorkers, descriptors, reserve } = limits;
  log.info(
    {
      address: bound.address,
      port: bound.port,
      strategy,
      ...(strategy === 'workqueue' ? { workers } : { maxWorkers }),
      ...(strategy === 'cmwq' ? { cpus } : { maxQueue }),
      threads,
      limits: { maxConnections, descriptors, reserve, backlog },
    },
    'listening',
  );
  const most = somaxconn();
  if (most !== null && most < backlog) {
    log.warn({ backlog, somaxconn: most }, 'the kernel cuts the backlog to net.core.somaxconn');
  }
}
