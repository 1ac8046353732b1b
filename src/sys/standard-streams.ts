/**
 * Keeps descriptors 0 to 2 out of the server's use when the host program has closed them.
 *
 * Main thread only. The kernel assigns the lowest closed number next. A connection with 0 would look like "none" in the
 * run slot, in an item and in the list of finished connections; output to 1 and 2 would go into the wrong file; and
 * libuv aborts the process when a thread ends whose event loop has one, and never closes a socket that has one. So
 * closed ones are opened on /dev/null, as Node does at its start, and stay open. The host may close them at any time,
 * so every accepted connection is checked.
 */
import { closeSync, openSync } from 'node:fs';
import { duplicate } from './inherited-socket.ts';
import { F_GETFD, libc, SysError } from './libc.ts';
import { closeFd } from './socket.ts';

const STDERR = 2;

/** Whether a descriptor has the number of a standard stream. */
export function isStandard(fd: number): boolean {
  return fd <= STDERR;
}

/** Opens the closed standard streams on /dev/null. Throws the error of open(2): ENFILE, ENOENT, ... */
export function fillStandardStreams(): void {
  while ([0, 1, STDERR].some((fd) => libc.fcntl(fd, F_GETFD, 0) < 0)) {
    const fd = openSync('/dev/null', 'r+');
    if (!isStandard(fd)) closeSync(fd); // another thread was faster
  }
}

/** Moves a descriptor of the server to a higher number, and returns it; returns `fd` itself when none is free. */
export function moveFromStandard(fd: number): number {
  try {
    const moved = duplicate(fd, STDERR + 1);
    closeFd(fd);
    return moved;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    return fd;
  }
}
