/** Declares nothing: the request `wait 100 ...`, `exec 100 ...` or `burn 100 ...` says what to do, and for how many ms. */
import { execFileSync } from 'node:child_process';
import type { Handler } from 'kecho-pool/handler';

const word = new Int32Array(new SharedArrayBuffer(4)); // never notified

function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function burn(ms: number): void {
  const endMs = cpuMs() + ms;
  while (cpuMs() < endMs);
}

const handle: Handler = (request) => {
  const [, what, ms] = /^(wait|exec|burn) (\d+) /.exec(Buffer.from(request).toString('latin1')) ?? [];
  if (what === 'wait') Atomics.wait(word, 0, 0, Number(ms));
  else if (what === 'exec') execFileSync('sleep', [String(Number(ms) / 1000)]);
  else if (what === 'burn') burn(Number(ms));
};
export default handle;
