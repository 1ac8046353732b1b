/** Handlers that sleep without declaring it: the request `wait 100 ...` or `exec 100 ...` says how, and how many ms. */
import { execFileSync } from 'node:child_process';

const word = new Int32Array(new SharedArrayBuffer(4)); // never notified

/** Sleeps if the request says so. */
export function sleepAsRequested(request: Uint8Array): void {
  const text = Buffer.from(request.buffer, request.byteOffset, Math.min(20, request.length)).toString(
    'latin1',
  );
  const [, how, ms] = /^(wait|exec) (\d+) /.exec(text) ?? [];
  if (how === 'wait') Atomics.wait(word, 0, 0, Number(ms));
  else if (how === 'exec') execFileSync('sleep', [String(Number(ms) / 1000)]);
}
