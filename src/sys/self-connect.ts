/**
 * A connection whose two ends are the same socket.
 *
 * When a client connects to an ephemeral port of this machine on which no server listens, the kernel may assign it the
 * same port as its local one. TCP then connects the socket to itself (RFC 9293, simultaneous open), and the client
 * reads back what it sends, as from a working echo server. So every client in this repository treats such a connection
 * as refused. socket.ts has the same check for a descriptor.
 *
 * Any thread. Loads no FFI.
 */
import type { Socket } from 'node:net';

type Ends = Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>;

function isSameEnd({ localAddress, localPort, remoteAddress, remotePort }: Ends): boolean {
  return localPort !== undefined && localPort === remotePort && localAddress === remoteAddress;
}

/**
 * Calls `connected` once the socket is connected to another one; destroys a socket that is its own peer with
 * ECONNREFUSED. Call it before adding other listeners for 'connect': those are called in both cases.
 */
export function onConnect(socket: Socket, connected: () => void = () => {}): void {
  socket.once('connect', () => {
    if (!isSameEnd(socket)) return connected();
    const { remoteAddress: address, remotePort: port } = socket;
    const message = `connect ECONNREFUSED ${address}:${port} (it connected to itself)`;
    socket.destroy(Object.assign(new Error(message), { code: 'ECONNREFUSED', syscall: 'connect' }));
  });
}

/** Resolves with the socket once it is connected; rejects on failure. */
export function connection(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    onConnect(socket, () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
