/** A log on disk: appends each request and waits for the disk. Sleeps, which nobody declares. */
import { closeSync, fsyncSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Handler } from 'kecho-pool/handler';

let file: number;

/** Each thread has a file of its own, which has lost its name, so nothing is left behind however the thread ends. */
export function setUp(): void {
  const folder = mkdtempSync(join(tmpdir(), 'kecho-pool-'));
  file = openSync(join(folder, 'requests.log'), 'a');
  rmSync(folder, { recursive: true });
}

export function tearDown(): void {
  closeSync(file);
}

const handle: Handler = (request) => {
  writeSync(file, request);
  fsyncSync(file);
};

export default handle;
