/**
 * `top` without a screen: once as text, or as lines of JSON for other programs.
 *
 * Main thread only. The first request must succeed (Unreachable is thrown); later the JSON stream waits for a lost
 * server and continues.
 */
import { Ending } from '../terminal/ending.ts';
import { frameOf } from './frame.ts';
import { StatusClient, Unreachable } from './status-client.ts';
import type { TopOptions } from './top-options.ts';
import { plainView } from './view.ts';

/** Two requests: rates need a difference. */
async function once(client: StatusClient, ending: Ending, intervalMs: number): Promise<void> {
  const before = await client.status();
  await ending.pause(intervalMs);
  process.stdout.write(plainView(frameOf(await client.status(), before)));
}

/** `atMs` counts from the first line. */
async function stream(client: StatusClient, ending: Ending, options: TopOptions): Promise<void> {
  let firstMs: number | null = null;
  let isLost = false;
  while (!ending.isOver) {
    const startMs = performance.now();
    try {
      const status = await client.status(ending.signal);
      firstMs ??= performance.now();
      isLost = false;
      process.stdout.write(
        `${JSON.stringify({ atMs: Math.round(performance.now() - firstMs), ...status })}\n`,
      );
    } catch (error) {
      if (ending.isOver) return;
      if (!(error instanceof Unreachable) || firstMs === null) throw error;
      if (!isLost) process.stderr.write(`kecho-pool top: lost: ${error.message}; trying again\n`);
      isLost = true;
    }
    if (options.once) return;
    await ending.pause(Math.max(0, startMs + options.intervalMs - performance.now()));
  }
}

export async function plain(options: TopOptions): Promise<void> {
  const client = new StatusClient(options.address, options.addressText);
  const ending = new Ending();
  try {
    if (options.json) await stream(client, ending, options);
    else await once(client, ending, options.intervalMs);
  } finally {
    ending.close();
    client.close();
  }
}
