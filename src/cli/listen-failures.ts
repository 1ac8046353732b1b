/**
 * Why the program cannot listen, for people: what is wrong, and which option says otherwise. Pure.
 */
import { SysError } from '../sys/errno.ts';
import type { InheritedSocket } from './systemd.ts';

/** Of the echo service. */
export function listenFailure(error: unknown, host: string, port: number): string {
  const where = `cannot listen on ${host} port ${port}`;
  const code = error instanceof SysError ? error.code : (error as NodeJS.ErrnoException).code;
  const reasons: Record<string, string> = {
    EADDRINUSE: 'the port is taken (EADDRINUSE); another --port, or 0 for any free one',
    EACCES: 'not permitted (EACCES); ports below 1024 need a privilege',
    EADDRNOTAVAIL: 'no interface of this machine has this address (EADDRNOTAVAIL)',
    ENOTFOUND: '--host has no address (ENOTFOUND)',
    EAI_AGAIN: '--host could not be looked up (EAI_AGAIN)',
  };
  const message = error instanceof Error ? error.message : String(error);
  return `${where}: ${(code === undefined ? undefined : reasons[code]) ?? message}`;
}

/** Of the echo service on a socket that it was handed: --host and --port are not used. */
export function takeOverFailure(error: unknown, { fd, address, port }: InheritedSocket): string {
  const message = error instanceof Error ? error.message : String(error);
  return `cannot listen on the inherited socket (descriptor ${fd}, ${address} port ${port}): ${message}`;
}

/** Of the admin endpoint. */
export function adminFailure(error: unknown, listen: string): string {
  const { code, message } = error as NodeJS.ErrnoException;
  const reasons: Record<string, string> = {
    EADDRINUSE: 'it is taken (EADDRINUSE); another --admin',
    EACCES: 'not permitted (EACCES)',
    EADDRNOTAVAIL: 'no interface of this machine has this address (EADDRNOTAVAIL)',
    ENOENT: 'there is no such folder (ENOENT)',
    ENOTFOUND: 'the host has no address (ENOTFOUND)',
  };
  const why = (code === undefined ? undefined : reasons[code]) ?? message;
  return `cannot listen on --admin ${listen}: ${why}`;
}
