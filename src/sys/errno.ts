/**
 * errno: numbers, names, and the error that carries them. Knows no system call, so that it costs no FFI.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** From here on the numbers are libuv's own. */
const UV_OWN = 3000;

/**
 * Names by number: libuv's, which has one for each (EAGAIN, not EWOULDBLOCK), and those that only Node's table has. Made
 * when first asked for: it takes most of a millisecond, and a thread per connection never asks.
 */
let names: Map<number, string> | null = null;

function tableOfNames(): Map<number, string> {
  names ??= new Map([
    ...Object.entries(constants.errno).map(([name, number]): [number, string] => [number, name]),
    ...[...getSystemErrorMap()]
      .map(([negative, [name]]): [number, string] => [-negative, name])
      .filter(([number]) => number < UV_OWN),
  ]);
  return names;
}

const ERRNO_NAMES = [
  'EAGAIN',
  'EBADF',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EEXIST',
  'EHOSTUNREACH',
  'EINPROGRESS',
  'EINTR',
  'EINVAL',
  'EIO',
  'EMFILE',
  'ENETDOWN',
  'ENETUNREACH',
  'ENFILE',
  'ENOBUFS',
  'ENOENT',
  'ENOMEM',
  'ENOPROTOOPT',
  'ENOSPC',
  'ENOTSOCK',
  'EOPNOTSUPP',
  'EPERM',
  'EPIPE',
  'EPROTO',
  'ETIMEDOUT',
] as const;

/** errno numbers of this system by name. A name that the system lacks is -1, which no call sets. */
export const E = Object.fromEntries(
  ERRNO_NAMES.map((name) => [name, (constants.errno as Record<string, number>)[name] ?? -1]),
) as Record<(typeof ERRNO_NAMES)[number], number>;

/** The number of an errno name that Node's table lacks (EHOSTDOWN) and libuv's may have; -1 when neither has it. */
export function errnoNumber(name: string): number {
  for (const [number, its] of tableOfNames()) if (its === name) return number;
  return -1;
}

/** The name of an errno number, for people ("ECONNRESET"); "errno 100000" when it has none. */
export function errnoName(number: number): string {
  return tableOfNames().get(number) ?? `errno ${number}`;
}

/** A system call that failed: what was being done, and why it was not. */
export class SysError extends Error {
  override readonly name = 'SysError';
  readonly errno: number;
  readonly code: string;
  readonly syscall: string;

  constructor(syscall: string, number: number, doing: string) {
    const code = errnoName(number);
    super(`${doing}: ${syscall}: ${code}`);
    this.errno = number;
    this.code = code;
    this.syscall = syscall;
  }
}
