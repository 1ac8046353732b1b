/** Handlers that sleep 100 ms, undeclared and declared, and one that burns 20 ms of CPU time. */
import { blocking, type Handler } from 'kecho-pool/handler';

const SLEEP_MS = 100;
const BURN_US = 20_000;
const word = new Int32Array(new SharedArrayBuffer(4)); // never notified

function sleep(): void {
  Atomics.wait(word, 0, 0, SLEEP_MS);
}

function cpuUs(): number {
  const { user, system } = process.threadCpuUsage();
  return user + system;
}

export const undeclared: Handler = () => sleep();

export const declared: Handler = () => blocking(sleep);

export const burning: Handler = () => {
  const endUs = cpuUs() + BURN_US;
  while (cpuUs() < endUs);
};
