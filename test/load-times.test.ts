/**
 * Goal: the load generator's times match the server's; open mode shows a stall; a slow server does not make the generator
 * saturated or late.
 * Method: `kecho-pool bench` as a child process against servers in this process that are slow or stall. Times are
 * compared with what the server recorded, never with a speed. No other test runs beside these.
 */
import { describe, expect, it } from 'vitest';
import type { Distribution } from '../bench/load/schema.ts';
import { generate, measured } from './support/load-bench.ts';
import { answersAfter, delaying, serverThat, stallingOnce } from './support/load-servers.ts';
import { rank } from './support/rank.ts';

const PERCENTILES: readonly [number, keyof Distribution][] = [
  [50, 'p50Ms'],
  [90, 'p90Ms'],
  [99, 'p99Ms'],
  [99.9, 'p999Ms'],
];

describe('saturation', () => {
  it('is not noticed when the generator sleeps because the server is slow', { retry: 4 }, async () => {
    const port = await serverThat(answersAfter(50));
    const { run } = await generate('--port', String(port), '--clients', '2', '--duration-ms', '1000');
    expect(run.generatorCpuShare + (run.generatorRunDelayShare ?? 0)).toBeLessThan(0.7);
    expect(run.saturated).toBe(false);
  });
});

describe('lateness', () => {
  it('is not the time during which the server keeps all connections busy', { retry: 4 }, async () => {
    const port = await serverThat(stallingOnce(400, 1000));
    const load = ['--mode', 'open', '--rate', '100', '--duration-ms', '2000', '--timeout-ms', '20000'];
    const { run } = await generate('--port', String(port), '--clients', '4', ...load);
    expect(run.missedSends).toBeGreaterThan(40);
    expect(run.response.p99Ms).toBeGreaterThan(500);
    expect(run.lateness?.p99Ms).toBeLessThan(100);
  });
});

describe('times', () => {
  // Other processes may delay one run, but not each of several.
  it('reports the percentiles of the delays that the server applied', { retry: 4 }, async () => {
    // 60 ms for most, 300 ms for a fifth, 1,000 ms for one in 40, so that no tested percentile is at a boundary; each
    // up to a fifth longer, so that the answers do not all fall into the same millisecond.
    const classMs = (n: number) => (n % 40 === 39 ? 1000 : n % 5 === 3 ? 300 : 60);
    const { behaviour, applied } = delaying((n) => classMs(n) * (1 + 0.2 * ((n * 0.618) % 1)));
    const port = await serverThat(behaviour);
    const { run } = await measured('--clients', '60', '--requests', '10', '--timeout', '20s', String(port));
    expect(run.errorTotal).toBe(0);
    expect(run.response.count).toBe(applied.length);
    const sorted = [...applied].sort((a, b) => a - b);
    // Not recorded by the server: two trips over loopback, and two wake-ups on shared cores, each of which may wait
    // for several scheduler slices of 3 ms.
    const allowedMs = 10;
    for (const [percent, name] of PERCENTILES) {
      const expectedMs = rank(sorted, percent);
      expect(run.response[name], name).toBeGreaterThan(expectedMs * 0.98 - 0.1);
      expect(run.response[name], name).toBeLessThan(expectedMs * 1.02 + allowedMs);
    }
    const meanMs = applied.reduce((sum, ms) => sum + ms, 0) / applied.length;
    expect(run.response.averageMs).toBeGreaterThan(meanMs * 0.98);
    expect(run.response.averageMs).toBeLessThan(meanMs * 1.02 + allowedMs);
    expect(run.response.worstMs).toBeGreaterThanOrEqual(rank(sorted, 100));
  });

  it('shows a stall in open mode that closed mode hides', { retry: 4 }, async () => {
    const [fromMs, toMs] = [400, 700];
    const common = ['--clients', '4', '--duration', '1500ms'];
    const closed = await measured(...common, String(await serverThat(stallingOnce(fromMs, toMs))));
    const open = await measured(
      ...['--mode', 'open', '--rate', '400', ...common],
      String(await serverThat(stallingOnce(fromMs, toMs))),
    );
    const raw = open.run.responseRaw;
    expect([closed.run.errorTotal, open.run.errorTotal]).toEqual([0, 0]);
    expect(closed.run.response.worstMs).toBeGreaterThan(250); // the stall happened
    expect(closed.run.response.p99Ms).toBeLessThan(100); // but does not show
    // 120 of 600 requests were due in the 300 ms, so the slowest hundredth waited nearly 300 ms.
    expect(open.run.response.p99Ms).toBeGreaterThan(250);
    expect(open.run.missedSends).toBeGreaterThan(80);
    // Timed from the actual send, only the four requests in flight were delayed.
    expect(raw?.p90Ms).toBeLessThan(100);
    expect(raw?.worstMs).toBeGreaterThan(250);
    expect(raw?.count).toBe(open.run.response.count);
  });
});
