/**
 * Goal: `kecho-pool top` computes correct rates and percentiles between two statuses, also after a restart of the
 * server or when no time has passed.
 * Method: pure functions: statuses in, figures out. test/top-view.test.ts tests how they are shown.
 */
import { describe, expect, it } from 'vitest';
import { frameOf, percentiles } from '../src/top/frame.ts';
import { aSecondLater, fakeStatus, histogram } from './support/fake-admin.ts';

describe('figures', () => {
  it('computes rates between two statuses by the server’s clock', () => {
    const before = fakeStatus(3, 2);
    const frame = frameOf(aSecondLater(before), before);
    expect(frame.elapsedMs).toBe(1000);
    expect(frame.sinceStart).toBe(false);
    expect(frame.rates).toMatchObject({
      echoes: 12_345,
      items: 999,
      accepted: 5,
      refused: 0,
      cmWakeup: 4,
      noticed: 6,
      mayday: 0,
    });
    expect(frame.rates.bytesIn).toBe(2 * 2 ** 20);
    expect(frame.cpuPercent).toBeCloseTo(150);
    expect(frame.workers.get(3)).toEqual({ items: 30, echoes: 30 });
  });

  it('measures a restarted server from its start', () => {
    const before = fakeStatus(3, 2);
    for (const now of [
      { ...fakeStatus(3, 2), pid: 4712 },
      { ...fakeStatus(3, 2), uptimeMs: 2000 },
    ]) {
      const frame = frameOf(now, before);
      expect(frame.sinceStart).toBe(true);
      expect(frame.rates.echoes).toBeCloseTo((1_000_000 * 1000) / now.uptimeMs);
    }
  });

  it('has zero rates when no time has passed', () => {
    const before = fakeStatus(3, 2);
    const { elapsedMs, rates, cpuPercent, workers } = frameOf(
      { ...aSecondLater(before), uptimeMs: before.uptimeMs },
      before,
    );
    expect(elapsedMs).toBe(0);
    for (const rate of [...Object.values(rates), cpuPercent]) expect(rate).toBe(0);
    expect(workers.get(3)).toEqual({ items: 0, echoes: 0 });
  });

  it('has no rate for a new worker', () => {
    const before = { ...fakeStatus(2, 1) };
    const frame = frameOf({ ...fakeStatus(3, 1), uptimeMs: before.uptimeMs + 1000 }, before);
    expect(frame.workers.get(3)).toEqual({ items: 0, echoes: 0 });
  });

  it('computes percentiles of the samples since the last status', () => {
    const before = histogram([1000, 0, 0], 0.001);
    const now = histogram([1000, 98, 1, 1], 0.0012);
    expect(percentiles(now, before)).toEqual({
      samples: 100,
      mean: expect.closeTo(2e-6),
      p50: 2e-6,
      p99: 4e-6,
      max: 8e-6,
    });
    const counts = new Array<number>(26).fill(0);
    counts[25] = 1;
    expect(percentiles(histogram(counts), null).max).toBe(Number.POSITIVE_INFINITY);
    expect(percentiles(now, now)).toEqual({ samples: 0, mean: null, p50: null, p99: null, max: null });
  });
});
