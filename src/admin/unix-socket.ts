/**
 * A Unix socket as a place to listen: the file left behind by a process that died is replaced, one that somebody
 * answers on is not, and nothing else is ever removed.
 *
 * Two that start at the same moment on the same path may both find the file stale; the second bind then fails with
 * EADDRINUSE, or the first loses its name. A path of one's own is the caller's business.
 */
import { lstatSync, statSync, unlinkSync } from 'node:fs';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';

/** Whether somebody accepts connections on the path. */
function isAnswered(path: string): Promise<boolean> {
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

/** Removes a socket that nobody listens on. Leaves a file of another kind for the bind to fail on. */
export async function removeStaleSocket(path: string): Promise<void> {
  statSync(dirname(path)); // says ENOENT where the bind would say EACCES
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found?.isSocket() === true && !(await isAnswered(path))) unlinkSync(path);
}

/** Begins to listen; the file can be used by its owner alone from its first moment on. */
export function listenOnUnixSocket(server: Server, path: string): void {
  const before = process.umask(0o177);
  try {
    server.listen({ path }); // binds at once, reports later
  } finally {
    process.umask(before);
  }
}
