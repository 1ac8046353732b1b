/** The server's counters against the model: what a batch of scripts must have added to them. Pure. */
import type { BatchResult } from './loop.ts';
import type { Figures } from './server-main.ts';

/** Whether the server has finished all connections of the scripts. */
export function isSettled({ stats }: Figures, before: Figures, scripts: number): boolean {
  const { accepted, active } = stats.connections;
  const { started, completed } = stats.items;
  return accepted - before.stats.connections.accepted >= scripts && active === 0 && started === completed;
}

function sum(counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}

/** The counters that disagree, as text. */
export function disagreements(before: Figures, after: Figures, batch: BatchResult): string[] {
  const wrong: string[] = [];
  const expect = (what: string, value: number, low: number, high = low) => {
    if (value >= low && value <= high) return;
    wrong.push(`${what}: ${value}, expected ${low === high ? low : `${low} to ${high}`}`);
  };
  const [then, now] = [before.stats, after.stats];
  const since = (figure: (stats: typeof now) => number) => figure(now) - figure(then);
  const { scripts, orderly } = batch;
  expect(
    'accepted',
    since((s) => s.connections.accepted),
    scripts,
  );
  expect('active', now.connections.active, 0);
  expect('queued', now.connections.queued, 0);
  expect(
    'refused',
    since((s) => sum(s.connections.refused)),
    0,
  );
  expect(
    'threads died',
    since((s) => sum({ ...s.threads.died })),
    0,
  );
  expect(
    'threads that could not start',
    since((s) => s.threads.createFailed),
    0,
  );
  expect('spills in use', now.spills.inUse, 0);
  expect('items begun and not completed', now.items.started - now.items.completed, 0);
  expect(
    'closed by eof',
    since((s) => s.connections.closed.eof),
    orderly,
    scripts,
  );
  expect(
    'closed by error',
    since((s) => s.connections.closed.error),
    0,
    scripts - orderly,
  );
  expect(
    'closed',
    since((s) => sum(s.connections.closed)),
    scripts,
  );
  expect(
    'closed by eof or error',
    since((s) => s.connections.closed.eof + s.connections.closed.error),
    scripts,
  );
  const bytesIn = since((s) => s.bytesIn);
  const irregularReceived = batch.received - batch.orderlySent; // an orderly script received what it sent
  expect('bytesIn', bytesIn, batch.orderlySent + irregularReceived, batch.sent);
  expect(
    'bytesOut',
    since((s) => s.bytesOut),
    batch.received,
    bytesIn,
  );
  expect('open sockets', after.sockets, before.sockets);
  return wrong;
}
