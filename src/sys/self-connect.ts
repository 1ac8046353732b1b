/**
 * A connection whose two ends are the same socket.
 *
 * A client that connects to a port of this machine on which no server listens gets a local port from the range of
 * ephemeral ports, and that may be the very port it connects to. TCP then opens the connection with itself (RFC 9293,
 * simultaneous open), and the client reads back what it sends: to a client of an echo server that looks like a good
 * server. So every client here takes such a connection for what it is, a refusal. socket.ts asks the same of a
 * descriptor.
 *
 * Any thread. Loads no FFI.
 */
import type { Socket } from 'node:net';

type Ends = Pick<Socket, 'localAddress' | 'localPort' | 'remoteAddress' | 'remotePort'>;

function isSameEnd({ localAddress, localPort, remoteAddress, remotePort }: Ends): boolean {
  return localPort !== undefined && localPort === remotePort && localAddress === remoteAddress;
}

/**
 * Calls `connected` once a socket that connects has another one as its peer. One that is its own peer is destroyed with
 * ECONNREFUSED. To be called before any other listener for 'connect' is there, since those are called in both cases.
 */
export function onConnect(socket: Socket, connected: () => void = () => {}): void {
  socket.once('connect', () => {
    if (!isSameEnd(socket)) return connected();
    const { remoteAddress: address, remotePort: port } = socket;
    const message = `connect ECONNREFUSED ${address}:${port} (it connected to itself)`;
    socket.destroy(Object.assign(new Error(message), { code: 'ECONNREFUSED', syscall: 'connect' }));
  });
}

/** Resolves with the socket once it is connected; rejects when that failed. */
export function connection(socket: Socket): Promise<Socket> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    onConnect(socket, () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}
