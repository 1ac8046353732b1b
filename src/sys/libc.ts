/**
 * The C library, called through koffi. The only importer of koffi.
 *
 * Runs on main and on long-lived threads; each loads it separately (koffi shares no state between threads). A thread
 * per connection makes its calls through fs instead (workers/calls-fs.ts), since loading takes time and koffi 3.3.4
 * never frees a thread's data (measured: 7 KiB and 0.8 memory mappings, of which a process may have 65,530, for a
 * thread that exits; 70 KiB and three for one that is terminated).
 * Raw calls only: they return what C returns, and `errno()` right after a call that returned -1 has the reason. The
 * checking wrappers are in socket.ts and epoll.ts.
 *
 * `pollReadable` is for the main thread only: terminating a worker while a poll callback runs aborts the whole
 * process, so workers call epoll_wait instead.
 */
import { createRequire } from 'node:module';
import koffi from 'koffi';
import { SysError } from './errno.ts';

export { E, errnoName, errnoNumber, SysError } from './errno.ts';

const lib = koffi.load(null);

/** Memory that C may read or write, including views of shared memory. */
export type Memory = ArrayBufferView | null;

function fn<Args extends unknown[]>(prototype: string): (...args: Args) => number {
  return lib.func(prototype) as unknown as (...args: Args) => number;
}

/** Number of the system call on all architectures. */
export const EPOLL_PWAIT2 = 441;

// ssize_t is declared as int: no call here transfers more than 1 MiB.
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
  /** Variadic in C; one int is passed the same way on all architectures that Node supports on Linux. */
  fcntl: fn<[fd: number, command: number, argument: number]>('int fcntl(int, int, int)'),
  eventfd: fn<[initial: number, flags: number]>('int eventfd(uint, int)'),
  epoll_create1: fn<[flags: number]>('int epoll_create1(int)'),
  epoll_ctl: fn<[epfd: number, op: number, fd: number, event: Memory]>('int epoll_ctl(int, int, int, void*)'),
  epoll_wait: fn<[epfd: number, events: Memory, maxEvents: number, timeoutMs: number]>(
    'int epoll_wait(int, void*, int, int)',
  ),
  /** The system call, as older C libraries have no function for it. */
  epoll_pwait2: fn<
    [
      number: typeof EPOLL_PWAIT2,
      epfd: number,
      events: Memory,
      maxEvents: number,
      timespec: Memory,
      sigmask: Memory,
      size: number,
    ]
  >('int syscall(long, int, void*, int, void*, void*, size_t)'),
  prctl: fn<[option: number, argument: number]>('int prctl(int, ulong)'),
  clock_gettime: fn<[clock: number, timespec: Memory]>('int clock_gettime(int, void*)'),
  sched_getcpu: fn<[]>('int sched_getcpu()'),
  sched_getaffinity: fn<[tid: number, size: number, mask: Memory]>(
    'int sched_getaffinity(int, size_t, void*)',
  ),
  sched_setaffinity: fn<[tid: number, size: number, mask: Memory]>(
    'int sched_setaffinity(int, size_t, void*)',
  ),
  getrlimit: fn<[resource: number, limit: Memory]>('int getrlimit(int, void*)'),
  /** Writes to `text`; the pointer that it returns is not used. */
  inet_ntop: fn<[family: number, address: Memory, text: Memory, size: number]>(
    'void *inet_ntop(int, void*, void*, uint)',
  ),
  _exit: fn<[code: number]>('void _exit(int)'),
  inet_pton: fn<[family: number, text: string, address: Memory]>('int inet_pton(int, str, void*)'),
} as const;

// fcntl(2)
export const F_GETFD = 1;
export const F_GETFL = 3;
export const F_SETFL = 4;
export const O_NONBLOCK = 0o4000;

/**
 * The file that a thread from dist loads as koffi (workers/koffi.ts): the native part, when koffi's default export is
 * just that. Finding it again through koffi's own modules would take a thread 3 ms.
 */
export function koffiFile(): string {
  const require = createRequire(import.meta.filename);
  const native = Object.values(require.cache).find(
    (m) => m?.exports === koffi && m.filename.endsWith('.node'),
  );
  return native?.filename ?? require.resolve('koffi');
}

/** errno of the last call made through `libc` on this thread. */
export function errno(): number {
  return koffi.errno();
}

/** Returns the `result` of a system call; throws SysError when it is negative. Must directly follow the call. */
export function check(syscall: string, result: number, doing: string): number {
  if (result < 0) throw new SysError(syscall, koffi.errno(), doing);
  return result;
}

/** A descriptor polled by the event loop of the main thread. */
export interface ReadablePoll {
  /** Stops polling; the descriptor stays open. May be called again. */
  close(): void;
}

/**
 * Calls `onReadable` from the event loop's check phase while `fd` is readable (level-triggered).
 *
 * koffi's callback runs outside Node's callback scope: exceptions are lost and microtasks do not run. So it only
 * schedules a setImmediate, which runs right after the poll phase.
 *
 * The descriptor must be open, pollable and not polled yet: anything else aborts the process.
 */
export function pollReadable(fd: number, onReadable: () => void): ReadablePoll {
  let scheduled = false;
  // The returned object's closure references it: a garbage-collected handle stops polling.
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
