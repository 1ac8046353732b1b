/**
 * Descriptors 0 to 2 when the program has closed them: nothing of ours may have such a number.
 *
 * Main thread only. A closed number is the next one that the kernel gives out. A connection with 0 would look like
 * "none" in the run slot, in an item and in the list of finished ones; output for 1 and 2 would go into whatever has
 * them; and libuv aborts the process when a thread ends whose event loop has one, and never closes a socket that has
 * one. So the closed ones are opened on /dev/null, as Node does at its start, and stay open. The program may close
 * them at any time, so accepted connections are looked at one by one.
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

/** Opens those that are closed on /dev/null. Throws the error of open(2): ENFILE, ENOENT, ... */
export function fillStandardStreams(): void {
  while ([0, 1, STDERR].some((fd) => libc.fcntl(fd, F_GETFD, 0) < 0)) {
    const fd = openSync('/dev/null', 'r+');
    if (!isStandard(fd)) closeSync(fd); // another thread has taken the number meanwhile
  }
}

/** Gives a descriptor of ours a number above; it keeps the one that it has when no other is free. */
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
