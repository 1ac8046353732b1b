/**
 * Listening Unix sockets (unix(7)).
 */
import { fchmodSync } from 'node:fs';
import { endianness } from 'node:os';
import { check, libc } from './libc.ts';
import { SOCK_CLOEXEC, SOCK_NONBLOCK, SOCK_STREAM } from './socket.ts';

const AF_UNIX = 1;
const FAMILY = endianness() === 'LE' ? [AF_UNIX, 0] : [0, AF_UNIX];

/**
 * A non-blocking socket that listens at the path; the file has `mode` from its creation on. Throws SysError: ENOENT for
 * a folder that does not exist, EADDRINUSE for any file that does.
 */
export function listenUnix(path: string, mode: number, backlog: number): number {
  const address = Buffer.concat([Buffer.from(FAMILY), Buffer.from(`${path}\0`)]);
  const doing = `listening on ${path}`;
  const fd = check('socket', libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), doing);
  try {
    fchmodSync(fd, mode); // bind(2) creates the file with the socket's mode, less the umask
    check('bind', libc.bind(fd, address, address.length), doing);
    check('listen', libc.listen(fd, backlog), doing);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}
