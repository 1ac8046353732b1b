/**
 * Which event loop of the server each connection is in: the epoll instances of its processes, read from /proc.
 *
 * Needs nothing of the server but its processes, so it holds for any way of placing connections. A connection is named
 * by the client's port. A server that waits in recv(2) instead has its connections in no event loop.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const EPOLL = 'anon_inode:[eventpoll]';
const ESTABLISHED = '01';

/** Empty for what has ended or cannot be read. */
function unlessGone<T>(read: () => T, otherwise: T): T {
  try {
    return read();
  } catch {
    return otherwise;
  }
}

function text(path: string): string {
  return unlessGone(() => readFileSync(path, 'latin1'), '');
}

/** The client's ports by the inode of the server's socket, of the connections to `serverPort` that were accepted. */
function acceptedPorts(serverPort: number): Map<number, number> {
  const ports = new Map<number, number>();
  for (const line of ['tcp', 'tcp6'].flatMap((name) => text(`/proc/self/net/${name}`).split('\n'))) {
    const [, local = '', remote = '', state, , , , , , inode] = line.trim().split(/ +/);
    if (state !== ESTABLISHED || portOf(local) !== serverPort) continue;
    if (Number(inode) !== 0) ports.set(Number(inode), portOf(remote)); // 0: still in the backlog
  }
  return ports;
}

/** Of an address in /proc/net/tcp: 0100007F:3039. */
function portOf(address: string): number {
  return Number.parseInt(address.split(':')[1] ?? '', 16);
}

/** The inodes that each epoll instance of a process watches. */
function watchedInodes(pid: number): number[][] {
  const folder = `/proc/${pid}/fd`;
  return unlessGone(() => readdirSync(folder), [])
    .filter((fd) => unlessGone(() => readlinkSync(`${folder}/${fd}`), '') === EPOLL)
    .map((fd) => {
      const found = text(`/proc/${pid}/fdinfo/${fd}`).matchAll(/^tfd:.* ino:([0-9a-f]+)/gm);
      return [...found].map(([, inode = '']) => Number.parseInt(inode, 16));
    });
}

export interface EventLoops {
  /** The client's ports of the connections in each event loop that has any. */
  loops: number[][];
  /** Connections that the server has accepted. */
  accepted: number;
}

export function eventLoops(pids: readonly number[], serverPort: number): EventLoops {
  const ports = acceptedPorts(serverPort);
  const loops = pids
    .flatMap(watchedInodes)
    .map((inodes) => inodes.flatMap((inode) => ports.get(inode) ?? []));
  return { loops: loops.filter((members) => members.length > 0), accepted: ports.size };
}
