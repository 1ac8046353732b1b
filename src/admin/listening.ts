/**
 * The listening socket of the admin endpoint, on an address or at a path.
 *
 * Main thread only. It owns the descriptor and the file of a Unix socket: they stay when the endpoint's thread is
 * replaced, so that clients wait in the backlog meanwhile. Main never accepts.
 *
 * A stale file at the path is replaced; a socket in use or any other file is left alone. Two processes that start at
 * once on the same path may both find the file stale: then the second bind fails with EADDRINUSE, or the first process
 * loses its path. The caller must choose a path of its own.
 */
import { lstatSync, rmSync, unlinkSync } from 'node:fs';
import { connect, isIPv6 } from 'node:net';
import { resolveHost } from '../listener/resolve-host.ts';
import type { AdminAddress } from '../options/admin-address.ts';
import { socketCookie } from '../sys/inherited-socket.ts';
import { closeFd, listenTcp, localAddress, PLAIN } from '../sys/socket.ts';
import { fillStandardStreams } from '../sys/standard-streams.ts';
import { listenUnix } from '../sys/unix-socket.ts';

/** As node:net. */
const BACKLOG = 511;
const OWNER_ONLY = 0o600;

export interface AdminSocket {
  fd: number;
  /** `http://127.0.0.1:9090/`, or `unix:/run/kecho.sock`. */
  url: string;
  /** The bound IP address; null for a Unix socket. */
  ip: string | null;
  /** Stops listening; the file of a Unix socket is removed. */
  close: () => void;
}

/** Rejects with the system's error when it cannot listen (EADDRINUSE, EACCES, ...). */
export async function listenAt(address: AdminAddress): Promise<AdminSocket> {
  fillStandardStreams(); // the socket must not get descriptors 0 to 2
  if (address.kind === 'unix') {
    const { path } = address;
    await removeStaleSocket(path);
    const fd = listenUnix(path, OWNER_ONLY, BACKLOG);
    const close = closer(fd);
    return {
      fd,
      url: `unix:${path}`,
      ip: null,
      close: () => {
        rmSync(path, { force: true });
        close();
      },
    };
  }
  const resolved = await resolveHost(address.host);
  const { fd } = listenTcp({
    ...resolved,
    port: address.port,
    backlog: BACKLOG,
    reusePort: false,
    accepted: PLAIN, // the endpoint has timeouts of its own
  });
  const { address: ip, port } = localAddress(fd);
  return { fd, url: `http://${isIPv6(ip) ? `[${ip}]` : ip}:${port}/`, ip, close: closer(fd) };
}

/** Closes the descriptor unless other code of the process has closed it, and the number may have been reused. */
function closer(fd: number): () => void {
  const cookie = socketCookie(fd);
  return () => {
    if (socketCookie(fd) === cookie) closeFd(fd);
  };
}

/** Whether a process listens on the path. */
function hasListener(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED') resolve(false);
      else if (error.code === 'EAGAIN')
        resolve(true); // its backlog is full
      else reject(error);
    });
  });
}

/** Removes a socket without a listener. Leaves any other file for bind() to fail on. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() === true && !(await hasListener(path))) unlinkSync(path);
}
