/**
 * The admin endpoint as a library (`kecho-pool/admin`); the command makes one with `--admin`.
 *
 * ```ts
 * const admin = createAdmin(server, { listen: '127.0.0.1:9090' });
 * await admin.listen();
 * await server.listen();
 * ...
 * await server.close();
 * await admin.close();
 * ```
 */
import { checkMethods, checkNames } from '../options/values.ts';
import { Admin, type AdminOptions } from './admin.ts';
import type { StatusSource } from './routes.ts';

export type { Admin, AdminLogger, AdminOptions } from './admin.ts';
export type { StatusSource } from './routes.ts';

const LOGGER_METHODS = ['info', 'warn', 'error'];
/** Those that are not for tests alone. */
const OPTIONS = ['listen', 'logger'];
const FOR_TESTS = ['timeouts', 'dashboard', 'snapshotAgeMs'];

/** Throws UsageError for what would fail later, or be passed over. */
function check(server: StatusSource, options: AdminOptions): void {
  checkMethods(server, 'server', ['status'], 'an EchoServer');
  checkNames(options, OPTIONS, FOR_TESTS);
  const { logger } = options;
  if (logger !== undefined) checkMethods(logger, 'logger', LOGGER_METHODS, 'a logger like that of pino');
}

/**
 * An endpoint for `server` (an EchoServer) that is not listening yet. Give the server the option `admin` too, so that it
 * keeps descriptors for it. Throws UsageError, which names the option, the value and what is allowed.
 */
export function createAdmin(server: StatusSource, options: AdminOptions = {}): Admin {
  check(server, options);
  return new Admin(server, options);
}
