/**
 * The admin endpoint as a library (`kecho-pool/admin`); the command creates one with `--admin`.
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
import type { StatusSource } from './admin-thread.ts';

export type { Admin, AdminOptions } from './admin.ts';
export type { AdminLogger, StatusSource } from './admin-thread.ts';

const LOGGER_METHODS = ['info', 'warn', 'error'];
const OPTIONS = ['listen', 'logger'];
const TEST_OPTIONS = ['timeouts', 'dashboard', 'snapshotAgeMs', 'lateMs', 'stuckMs', 'entry'];

/** Throws UsageError for arguments that would fail later or be ignored. */
function check(server: StatusSource, options: AdminOptions): void {
  checkMethods(server, 'server', ['status'], 'an EchoServer');
  checkNames(options, OPTIONS, TEST_OPTIONS);
  const { logger } = options;
  if (logger !== undefined) checkMethods(logger, 'logger', LOGGER_METHODS, 'a logger like pino');
}

/**
 * Creates an endpoint for `server` (an EchoServer) that is not listening yet. Give the server the option `admin` too,
 * so that it reserves descriptors. Throws UsageError, which names the option, the value and what is allowed.
 */
export function createAdmin(server: StatusSource, options: AdminOptions = {}): Admin {
  check(server, options);
  return new Admin(server, options);
}
