/**
 * Listening on a Unix socket: a stale socket file is replaced; a socket in use or any other file is left alone.
 *
 * Two processes that start at once on the same path may both find the file stale: then the second bind fails with
 * EADDRINUSE, or the first process loses its path. The caller must choose a path of its own.
 */
import { lstatSync, statSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';

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
export async function removeStaleSocket(path: string): Promise<void> {
  statSync(dirname(path)); // throws ENOENT where bind() would report EACCES
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() === true && !(await hasListener(path))) unlinkSync(path);
}

/** Starts listening; the file has mode 0600 from its creation on. */
export function listenOnUnixSocket(server: Server, path: string): void {
  const before = process.umask(0o177);
  try {
    server.listen({ path }); // binds synchronously, reports later
  } finally {
    process.umask(before);
  }
}
