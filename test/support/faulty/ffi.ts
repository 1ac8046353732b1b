/** Wraps the system calls that workers/calls-ffi.ts and the worklist make. */
import koffi from 'koffi';
import { E, libc } from '../../../src/sys/libc.ts';
import { takeFault } from './commit.ts';
import { WorkerFault } from './orders.ts';

const EPOLL_CTL_ADD = 1;
const { recv, send, epoll_ctl } = libc;
const table = libc as { -readonly [name in keyof typeof libc]: (typeof libc)[name] };
let next: number = WorkerFault.none;

function takes(fault: WorkerFault): boolean {
  if (next !== fault) return false;
  next = WorkerFault.none;
  return true;
}

table.recv = (...args) => {
  const n = recv(...args);
  if (n > 0) next = takeFault();
  return n;
};

table.send = (fd, buffer, length, flags) =>
  send(fd, buffer, takes(WorkerFault.shortSend) ? Math.ceil(length / 2) : length, flags);

table.epoll_ctl = (epfd, op, fd, event) => {
  if (op !== EPOLL_CTL_ADD) return epoll_ctl(epfd, op, fd, event);
  if (takes(WorkerFault.diesBeforeAdd)) throw new Error('made to fail');
  if (takes(WorkerFault.diesAfterAdd)) {
    epoll_ctl(epfd, op, fd, event);
    throw new Error('made to fail');
  }
  if (!takes(WorkerFault.epollAdd)) return epoll_ctl(epfd, op, fd, event);
  koffi.errno(E.ENOMEM);
  return -1;
};
