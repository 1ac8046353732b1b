/** Sleeps as the request says, declared or not. */
import { blocking } from 'kecho-pool/handler';

const word = new Int32Array(new SharedArrayBuffer(4));

function sleep(ms: number): string {
  return Atomics.wait(word, 0, 0, ms);
}

export default function (request: Uint8Array): void {
  const text = Buffer.from(request).toString();
  if (text === 'throw in sleep') {
    blocking(() => {
      sleep(1);
      throw new Error('woken by an error');
    });
  }
  if (text.startsWith('request')) {
    // Its result, also through a sleep in a sleep.
    const result = blocking(() => blocking(() => sleep(100)));
    if (result !== 'timed-out') throw new Error(`blocking returned ${result}`);
  }
  if (text === 'long') blocking(() => sleep(2000));
}
