/**
 * A program with the server in it: `host.ts API WHO OPTIONS`. API is the module of the API, OPTIONS its argument as JSON.
 * With WHO `main` or `thread`, main or another thread is busy for 20 ms at a time, then idle for as long; with `idle`, none is.
 * Prints `listening PORT`, and ends with its standard input.
 */
import { isMainThread, Worker } from 'node:worker_threads';
import type * as Api from '../../../src/index.ts';

const BUSY_MS = 20;

/** Blocks this thread's event loop for BUSY_MS, again and again. */
function keepBusy(): void {
  setInterval(() => {
    const endMs = performance.now() + BUSY_MS;
    while (performance.now() < endMs);
  }, 2 * BUSY_MS);
}

if (isMainThread) {
  const [api = '', who, options = '{}'] = process.argv.slice(2);
  const { createEchoServer } = (await import(api)) as typeof Api;
  const server = createEchoServer({ port: 0, ...(JSON.parse(options) as Api.EchoServerOptions) });
  const { port } = await server.listen();
  if (who === 'main') keepBusy();
  if (who === 'thread') new Worker(new URL(import.meta.url));
  process.stdin.resume().on('end', () => process.exit());
  console.log(`listening ${port}`);
} else keepBusy();
