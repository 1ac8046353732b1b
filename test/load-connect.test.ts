/**
 * Goal: a server that accepts late is slow, by the response times and by the connect times.
 * Method: a server in this process with a backlog of one, which does not return to its event loop, and so does not
 * accept, until the kernel has dropped the SYN of a client, which the kernel repeats after a second (RFC 6298).
 */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { bench, runsOf } from './support/load-bench.ts';
import { echo } from './support/load-servers.ts';

const CLIENTS = 8;
const SYN_SENT = '02';
/** Initial retransmission timeout of a SYN; the kernel's timers have steps of up to 10 ms. */
const SYN_REPEATED_MS = 990;
const LIMIT_MS = 60_000;
/** A SYN that finds room may be unanswered for a moment. */
const DROPPED_MS = 50;

/** Addresses of this machine that connect to `port` and whose SYN has not been answered. */
function unanswered(port: number): string[] {
  const to = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = readFileSync('/proc/self/net/tcp', 'latin1').trim().split('\n').slice(1);
  return lines.flatMap((line) => {
    const [, local = '', remote = '', state] = line.trim().split(/ +/);
    return remote.endsWith(to) && state === SYN_SENT ? [local] : [];
  });
}

/** Blocks this thread until a SYN to `port` was dropped. */
function blockUntilDropped(port: number): void {
  const startMs = performance.now();
  const sinceMs = new Map<string, number>();
  for (let nowMs = startMs; ; nowMs = performance.now()) {
    expect(nowMs - startMs).toBeLessThan(LIMIT_MS);
    const found = unanswered(port);
    if (found.some((local) => nowMs - (sinceMs.get(local) ?? nowMs) >= DROPPED_MS)) return;
    for (const local of found) if (!sinceMs.has(local)) sinceMs.set(local, nowMs);
  }
}

/** Runs a burst at a server that accepts nothing until a SYN was dropped. */
async function burstAtLateServer(...more: readonly string[]) {
  const server = createServer({ noDelay: true, allowHalfOpen: true }, echo);
  server.listen({ port: 0, host: '127.0.0.1', backlog: 1 });
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const args = ['--mode', 'burst', '--clients', String(CLIENTS), '--requests', '2', '--warmup', '0'];
  const running = bench(...args, '--json', ...more, String(port));
  blockUntilDropped(port);
  const child = await running;
  const [run] = runsOf(child);
  return { child, run };
}

it('counts the wait for accept() in the first response of a burst, and shows it as connect time', async () => {
  const { child, run } = await burstAtLateServer('--timeout', '60s', '--threshold', 'connect-worst<900ms');
  expect(run).toMatchObject({ errorTotal: 0, completed: 2 * CLIENTS, connect: { count: CLIENTS } });
  expect(run?.connect.worstMs).toBeGreaterThan(SYN_REPEATED_MS);
  expect(run?.response.worstMs).toBeGreaterThanOrEqual(run?.connect.worstMs ?? Number.NaN);
  // The second message of each client is sent on an established connection.
  expect(run?.response.p50Ms).toBeLessThan(run?.response.worstMs ?? 0);
  expect(child.code).toBe(10);
  expect(child.stderr).toMatch(/threshold connect-worst<900ms failed at 8 clients: \d+/);
});

it('counts a connect that timed out as at least as long as the timeout', async () => {
  const { child, run } = await burstAtLateServer('--timeout', '500ms');
  expect(run?.connect.censored).toBeGreaterThan(0);
  expect(run?.connect.atLeast).toContain('worstMs');
  expect(run?.connect.worstMs).toBeGreaterThanOrEqual(500);
  expect(run?.response.censored).toBe(run?.errors.timeout);
  expect(child.code).toBe(1);
});
