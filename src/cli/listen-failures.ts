/**
 * Messages for listen errors: the reason, and the option that changes it. Pure.
 */
import { SysError } from '../sys/errno.ts';
import type { InheritedSocket } from './systemd.ts';

/** For the echo service. */
export function listenFailure(error: unknown, host: string, port: number): string {
  const where = `cannot listen on ${host} port ${port}`;
  const code = error instanceof SysError ? error.code : (error as NodeJS.ErrnoException).code;
  const reasons: Record<string, string> = {
    EADDRINUSE: 'the port is in use (EADDRINUSE); choose another --port, or 0 for any free one',
    EACCES: 'not permitted (EACCES); ports below 1024 need CAP_NET_BIND_SERVICE',
    EADDRNOTAVAIL: 'no interface of this machine has this address (EADDRNOTAVAIL)',
    ENOTFOUND: '--host has no address (ENOTFOUND)',
    EAI_AGAIN: '--host could not be resolved (EAI_AGAIN)',
  };
  const message = error instanceof Error ? error.message : String(error);
  return `${where}: ${(code === undefined ? undefined : reasons[code]) ?? message}`;
}

/** For the echo service on an inherited socket, where --host and --port are not used. */
export function inheritedFailure(error: unknown, { fd, address, port }: InheritedSocket): string {
  const message = error instanceof Error ? error.message : String(error);
  return `cannot listen on the inherited socket (descriptor ${fd}, ${address} port ${port}): ${message}`;
}

/** For the admin endpoint. */
export function adminFailure(error: unknown, listen: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    EADDRINUSE: 'it is in use (EADDRINUSE); choose another --admin',
    EACCES: 'not permitted (EACCES)',
    EADDRNOTAVAIL: 'no interface of this machine has this address (EADDRNOTAVAIL)',
    ENOENT: 'the folder does not exist (ENOENT)',
    ENOTFOUND: 'the host has no address (ENOTFOUND)',
  };
  const reason = (code === undefined ? undefined : reasons[code]) ?? message;
  return `cannot listen on --admin ${listen}: ${reason}`;
}
