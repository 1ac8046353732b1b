/**
 * Appends a line to the file in HANDLER_LIVES when a thread sets up, handles a request, and tears down. A request sleeps
 * for a moment, so that there is work for more threads.
 */
import { appendFileSync } from 'node:fs';
import { threadId } from 'node:worker_threads';
import { blocking } from 'kecho-pool/handler';

const word = new Int32Array(new SharedArrayBuffer(4));

function note(what) {
  appendFileSync(process.env.HANDLER_LIVES, `${threadId} ${what}\n`);
}

export function setUp() {
  note('up');
}

export function tearDown() {
  note('down');
}

export default function () {
  note('request');
  blocking(() => Atomics.wait(word, 0, 0, 20));
}
