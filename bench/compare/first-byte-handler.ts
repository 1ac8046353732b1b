/**
 * The handler of the experiment `mixed`. Runs in the server's worker threads. The first byte of a request says what it
 * takes: below COMPUTES the milliseconds to sleep, from COMPUTES on the milliseconds of CPU time beyond it.
 */
import { blocking, type Handler } from 'kecho-pool/handler';
import { COMPUTES } from './first-byte.ts';

const word = new Int32Array(new SharedArrayBuffer(4)); // never notified

function cpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

function compute(ms: number): void {
  const endUs = cpuUs() + ms * 1000;
  while (cpuUs() < endUs);
}

const handle: Handler = (request) => {
  const byte = request[0] ?? 0;
  if (byte >= COMPUTES) compute(byte - COMPUTES);
  else blocking(() => Atomics.wait(word, 0, 0, byte));
};

export default handle;
