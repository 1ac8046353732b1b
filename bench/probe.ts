/**
 * Checks whether a server listens on a port, by opening and closing one connection.
 */
import { connect } from 'node:net';
import { LOOPBACK } from '../src/sys/loopback.ts';
import { connection } from '../src/sys/self-connect.ts';

/** On loopback connect() is immediate unless the backlog is full. */
const TIMEOUT_MS = 1000;

export async function answers(port: number, host = LOOPBACK, timeoutMs = TIMEOUT_MS): Promise<boolean> {
  const socket = connect({ port, host, signal: AbortSignal.timeout(timeoutMs) });
  try {
    await connection(socket);
    return true;
  } catch {
    return false;
  } finally {
    socket.on('error', () => {}).destroy();
  }
}
