/**
 * The C library, called through koffi. The only importer of koffi.
 *
 * Runs on main and on threads that live long; each loads it for itself (koffi keeps no state between threads).
 * koffi 3.3.4 never frees what it keeps for a thread (measured: 7 KiB and 0.8 mappings of memory, of which a process
 * may have 65,530, for a thread that ends; 70 KiB and three for one that is terminated), and loading it takes time: a
 * thread per connection calls through fs (workers/calls-fs.ts).
 * Raw calls only: they return what C returns, and `errno()` right after a call that returned -1 says why. The wrappers
 * that check live in socket.ts and epoll.ts.
 *
 * What it must not do: `pollReadable` is for the main thread alone. Terminating a worker while a poll
 * callback runs aborts the whole process, so workers call epoll_wait instead.
 */
import koffi from 'koffi';
import { SysError } from './errno.ts';

// Whoever calls wants to know why it failed.
export { E, errnoName, errnoNumber, SysError } from './errno.ts';

const lib = koffi.load(null);

/** Any memory that C may read or write; the views of shared memory included. */
export type Memory = ArrayBufferView | null;

function fn<Args extends unknown[]>(prototype: string): (...args: Args) => number {
  return lib.func(prototype) as unknown as (...args: Args) => number;
}

// ssize_t is declared int: no call here moves more than 1 MiB at a time.
export const libc = {
  socket: fn<[domain: number, type: number, protocol: number]>('int socket(int, int, int)'),
  bind: fn<[fd: number, address: Memory, length: number]>('int bind(int, void*, uint)'),
  listen: fn<[fd: number, backlog: number]>('int listen(int, int)'),
  connect: fn<[fd: number, address: Memory, length: number]>('int connect(int, void*, uint)'),
  accept4: fn<[fd: number, address: Memory, length: Memory, flags: number]>(
    'int accept4(int, void*, void*, int)',
  ),
  getsockname: fn<[fd: number, address: Memory, length: Memory]>('int getsockname(int, void*, void*)'),
  getpeername: fn<[fd: number, address: Memory, length: Memory]>('int getpeername(int, void*, void*)'),
  getsockopt: fn<[fd: number, level: number, name: number, value: Memory, length: Memory]>(
    'int getsockopt(int, int, int, void*, void*)',
  ),
  setsockopt: fn<[fd: number, level: number, name: number, value: Memory, length: number]>(
    'int setsockopt(int, int, int, void*, uint)',
  ),
  shutdown: fn<[fd: number, how: number]>('int shutdown(int, int)'),
  close: fn<[fd: number]>('int close(int)'),
  ioctl: fn<[fd: number, request: number, argument: Memory]>('int ioctl(int, ulong, void*)'),
  recv: fn<[fd: number, buffer: Memory, length: number, flags: number]>('int recv(int, void*, size_t, int)'),
  send: fn<[fd: number, buffer: Memory, length: number, flags: number]>('int send(int, void*, size_t, int)'),
  sendto: fn<
    [fd: number, buffer: Memory, length: number, flags: number, address: Memory, addressLength: number]
  >('int sendto(int, void*, size_t, int, void*, uint)'),
  write: fn<[fd: number, buffer: Memory, length: number]>('int write(int, void*, size_t)'),
  poll: fn<[pollfds: Memory, count: number, timeoutMs: number]>('int poll(void*, ulong, int)'),
  /** Variadic in C; one int is passed the same way on the machines that Node supports on Linux. */
  fcntl: fn<[fd: number, command: number, argument: number]>('int fcntl(int, int, int)'),
  eventfd: fn<[initial: number, flags: number]>('int eventfd(uint, int)'),
  epoll_create1: fn<[flags: number]>('int epoll_create1(int)'),
  epoll_ctl: fn<[epfd: number, op: number, fd: number, event: Memory]>('int epoll_ctl(int, int, int, void*)'),
  epoll_wait: fn<[epfd: number, events: Memory, maxEvents: number, timeoutMs: number]>(
    'int epoll_wait(int, void*, int, int)',
  ),
  clock_gettime: fn<[clock: number, timespec: Memory]>('int clock_gettime(int, void*)'),
  getrlimit: fn<[resource: number, limit: Memory]>('int getrlimit(int, void*)'),
  /** Returns a pointer, which nobody needs: the text is in `text`. */
  inet_ntop: fn<[family: number, address: Memory, text: Memory, size: number]>(
    'void *inet_ntop(int, void*, void*, uint)',
  ),
  inet_pton: fn<[family: number, text: string, address: Memory]>('int inet_pton(int, str, void*)'),
} as const;

// Commands of fcntl(2), and the flag of an open file that makes its calls not wait.
export const F_GETFD = 1;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const O_NONBLOCK = 0o4000;

/** errno of the last call made through `libc` on this thread. */
export function errno(): number {
  return koffi.errno();
}

/**
 * Returns `result` of a system call, or throws what errno says when it is negative.
 * Nothing may be called between the system call and this.
 */
export function check(syscall: string, result: number, doing: string): number {
  if (result < 0) throw new SysError(syscall, koffi.errno(), doing);
  return result;
}

/** A watch on a descriptor by the event loop of the main thread. */
export interface ReadablePoll {
  /** Ends the watch; the descriptor stays open. Safe to call twice. */
  close(): void;
}

/**
 * Calls `onReadable` from the event loop's check phase while `fd` is readable (level-triggered).
 *
 * koffi runs its callback outside Node's usual frame: exceptions vanish and microtasks wait. So the
 * callback only asks for a setImmediate, which runs right after the poll phase.
 *
 * The descriptor must be open, pollable and not watched yet: anything else aborts the process.
 */
export function pollReadable(fd: number, onReadable: () => void): ReadablePoll {
  let scheduled = false;
  // Held by this closure, which the returned object keeps: a collected handle stops polling.
  let handle: ReturnType<typeof koffi.node.poll> | null = koffi.node.poll(fd, { readable: true }, () => {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      if (handle !== null) onReadable();
    });
  });
  return {
    close() {
      // Drop the reference first: any call on a closed handle crashes.
      const closing = handle;
      handle = null;
      closing?.close();
    },
  };
}
