/**
 * errno: numbers, names, and the error that carries them. Does not load the FFI.
 */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** From here on the numbers are libuv's, not errno's. */
const FIRST_UV_NUMBER = 3000;

/**
 * Names by number: libuv's, which has one name per number (EAGAIN, not EWOULDBLOCK), and those that only Node's table
 * has. Built on first use: it takes most of a millisecond, and a thread per connection never needs it.
 */
let names: Map<number, string> | null = null;

function nameTable(): Map<number, string> {
  names ??= new Map([
    ...Object.entries(constants.errno).map(([name, number]): [number, string] => [number, name]),
    ...[...getSystemErrorMap()]
      .map(([negative, [name]]): [number, string] => [-negative, name])
      .filter(([number]) => number < FIRST_UV_NUMBER),
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
  'ENOSYS',
  'ENOTSOCK',
  'EOPNOTSUPP',
  'EPERM',
  'EPIPE',
  'EPROTO',
  'ETIMEDOUT',
] as const;

/** errno numbers of this system by name; -1, which no call sets, for a name that the system lacks. */
export const E = Object.fromEntries(
  ERRNO_NAMES.map((name) => [name, (constants.errno as Record<string, number>)[name] ?? -1]),
) as Record<(typeof ERRNO_NAMES)[number], number>;

/** The number of any errno name in Node's or libuv's table (EHOSTDOWN is only in libuv's); -1 when neither has it. */
export function errnoNumber(name: string): number {
  for (const [number, candidate] of nameTable()) if (candidate === name) return number;
  return -1;
}

/** The name of an errno number ("ECONNRESET"); "errno 100000" when it has none. */
export function errnoName(number: number): string {
  return nameTable().get(number) ?? `errno ${number}`;
}

/** A failed system call, with the operation that it was part of. */
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
