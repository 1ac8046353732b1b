/**
 * Checks whether a server listens on a port, or serves there, by opening and closing one connection.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { LOOPBACK } from '../src/sys/loopback.ts';
import { connection } from '../src/sys/self-connect.ts';

/** On loopback connect() is immediate unless the backlog is full. */
const TIMEOUT_MS = 1000;

async function probe(
  port: number,
  host: string,
  timeoutMs: number,
  then: (socket: Socket) => Promise<unknown> = async () => {},
): Promise<boolean> {
  const socket = connect({ port, host, signal: AbortSignal.timeout(timeoutMs) });
  try {
    await then(await connection(socket));
    return true;
  } catch {
    return false;
  } finally {
    socket.on('error', () => {}).destroy();
  }
}

export function answers(port: number, host = LOOPBACK, timeoutMs = TIMEOUT_MS): Promise<boolean> {
  return probe(port, host, timeoutMs);
}

/**
 * Whether a server sends something back, or ends the connection. Between listen() and its first accept() the kernel
 * connects clients to a server that is still starting.
 */
export function serves(port: number, host: string, timeoutMs: number): Promise<boolean> {
  return probe(port, host, timeoutMs, (socket) => {
    socket.write('\n'); // what a server that echoes whole lines waits for
    return Promise.race([once(socket, 'data'), once(socket, 'end')]);
  });
}
