/**
 * What another thread of this process sleeps in, from /proc/self/task/TID/syscall (proc_pid_syscall(5)).
 *
 * A read takes 8 us (measured), so it is for displays. Only the number of the system call is used, not its arguments.
 */
import { readFileSync } from 'node:fs';

/** A thread that has a processor or waits for one. */
export const RUNNING = 'running';

/**
 * System calls in which a thread may sleep, with their numbers on x64 and arm64; null = arm64 has none. From Linux
 * 6.1, arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h; numbers never change.
 */
export const SYSTEM_CALLS: Readonly<Record<string, readonly [x64: number, arm64: number | null]>> = {
  // files
  read: [0, 63],
  write: [1, 64],
  open: [2, null],
  openat: [257, 56],
  close: [3, 57],
  pread64: [17, 67],
  pwrite64: [18, 68],
  readv: [19, 65],
  writev: [20, 66],
  preadv: [295, 69],
  pwritev: [296, 70],
  sendfile: [40, 71],
  splice: [275, 76],
  copy_file_range: [326, 285],
  sync: [162, 81],
  syncfs: [306, 267],
  fsync: [74, 82],
  fdatasync: [75, 83],
  sync_file_range: [277, 84],
  msync: [26, 227],
  fallocate: [285, 47],
  truncate: [76, 45],
  ftruncate: [77, 46],
  flock: [73, 32],
  fcntl: [72, 25],
  ioctl: [16, 29],
  getdents64: [217, 61],
  newfstatat: [262, 79],
  statx: [332, 291],
  rename: [82, null],
  renameat: [264, 38],
  renameat2: [316, 276],
  unlink: [87, null],
  unlinkat: [263, 35],
  mkdir: [83, null],
  mkdirat: [258, 34],
  io_getevents: [208, 4],
  io_uring_enter: [426, 426],
  // sockets
  connect: [42, 203],
  accept: [43, 202],
  accept4: [288, 242],
  sendto: [44, 206],
  recvfrom: [45, 207],
  sendmsg: [46, 211],
  recvmsg: [47, 212],
  sendmmsg: [307, 269],
  recvmmsg: [299, 243],
  // events, locks, time
  poll: [7, null],
  ppoll: [271, 73],
  select: [23, null],
  pselect6: [270, 72],
  epoll_wait: [232, null],
  epoll_pwait: [281, 22],
  epoll_pwait2: [441, 441],
  futex: [202, 98],
  futex_waitv: [449, 449],
  semop: [65, 193],
  semtimedop: [220, 192],
  msgsnd: [69, 189],
  msgrcv: [70, 188],
  nanosleep: [35, 101],
  clock_nanosleep: [230, 115],
  pause: [34, null],
  rt_sigsuspend: [130, 133],
  rt_sigtimedwait: [128, 137],
  restart_syscall: [219, 128],
  // processes, memory
  wait4: [61, 260],
  waitid: [247, 95],
  vfork: [58, null],
  clone: [56, 220],
  clone3: [435, 435],
  mmap: [9, 222],
  munmap: [11, 215],
  mprotect: [10, 226],
  madvise: [28, 233],
  membarrier: [324, 283],
  getrandom: [318, 278],
};

const COLUMNS: Readonly<Record<string, 0 | 1>> = { x64: 0, arm64: 1 };

/** The content of /proc/self/task/TID/syscall as a name. Other system calls and architectures: `syscall 123`. */
export function nameIn(content: string, arch: string): string | null {
  const [first = ''] = content.trim().split(' ');
  if (first === RUNNING) return RUNNING;
  if (!/^-?\d+$/.test(first)) return null;
  const number = Number(first);
  if (number < 0) return 'no system call'; // a page fault, for instance
  const column = COLUMNS[arch];
  const known = column === undefined ? undefined : NAMES[column].get(number);
  return known ?? `syscall ${number}`;
}

const entries = Object.entries(SYSTEM_CALLS);
const NAMES = [
  new Map(entries.map(([name, [x64]]) => [x64, name])),
  new Map(entries.map(([name, [, arm64]]) => [arm64, name])),
] as const;

/** The name of the system call that a thread sleeps in, or RUNNING; null when it cannot be read. */
export function threadSyscall(tid: number): string | null {
  try {
    return nameIn(readFileSync(`/proc/self/task/${tid}/syscall`, 'latin1'), process.arch);
  } catch {
    return null; // no such thread, no /proc, no descriptor
  }
}
