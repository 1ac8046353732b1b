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
import { Admin, type AdminOptions } from './admin.ts';
import type { StatusSource } from './app.ts';

export type { Admin, AdminLogger, AdminOptions } from './admin.ts';
export type { StatusSource } from './app.ts';

/**
 * An endpoint for `server` (an EchoServer) that is not listening yet. Give the server the option `admin` too, so that it
 * keeps descriptors for it. Throws UsageError.
 */
export function createAdmin(server: StatusSource, options: AdminOptions = {}): Admin {
  return new Admin(server, options);
}
