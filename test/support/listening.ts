/**
 * Listening sockets seen from outside the server: those that a service manager would hand over, and the server's own.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { onTestFinished } from 'vitest';
import { freePort, listenOn } from '../../bench/free-port.ts';
import { notTcpListener } from '../../src/sys/inherited-socket.ts';
import { libc } from '../../src/sys/libc.ts';
import { localAddress } from '../../src/sys/socket.ts';
import { BIN, Child, type ChildOptions } from './child.ts';

/**
 * A socket like a service manager's: made before the server and open after it. It is bound to a port that is not 0,
 * because only then it keeps the port through a shutdown(2).
 */
export function listening(): { fd: number; port: number } {
  const port = freePort();
  const fd = listenOn(port);
  onTestFinished(() => {
    libc.close(fd);
  });
  return { fd, port };
}

/** Descriptors of this process that listen on a port, lowest first. */
export function listenersOn(port: number): number[] {
  return readdirSync('/proc/self/fd')
    .map(Number)
    .filter((fd) => notTcpListener(fd) === null && localAddress(fd).port === port)
    .sort((a, b) => a - b);
}

/** Whether an epoll set of this process watches the socket of `fd`, under any number (proc(5)). */
export function isPolled(fd: number): boolean {
  const inode = Number(/\d+/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[0]);
  return readdirSync('/proc/self/fdinfo')
    .filter((name) => existsSync(`/proc/self/fdinfo/${name}`))
    .some((name) =>
      readFileSync(`/proc/self/fdinfo/${name}`, 'utf8').includes(` ino:${inode.toString(16)} `),
    );
}

/** The program as a service manager starts it: `fd` as descriptor 3, LISTEN_PID set after the fork. */
export function runActivated(fd: number, args: readonly string[], options: ChildOptions = {}): Child {
  const script = 'LISTEN_PID=$$ exec "$0" "$@"';
  return new Child('sh', ['-c', script, process.execPath, BIN, '--no-pretty', ...args], {
    ...options,
    env: { LISTEN_FDS: '1', ...options.env },
    inherited: fd,
  });
}
