/**
 * Goal: the requests of open mode are due when they should be, and every connection carries them.
 * Method: schedules with a seed, compared with what defines them; the generator as a child process against a server that
 * counts the requests of each connection.
 */
import { describe, expect, it } from 'vitest';
import { scheduleOf } from '../bench/load/arrivals.ts';
import type { Arrivals } from '../bench/load/result.ts';
import { seededRandom } from '../bench/random.ts';
import { measured } from './support/load-bench.ts';
import { echo, serverThat } from './support/load-servers.ts';

const FROM_MS = 1000;
const GAP_MS = 0.25;

function times(arrivals: Arrivals, count: number, seed: number, planned = count): number[] {
  const schedule = scheduleOf(arrivals, FROM_MS, GAP_MS, planned, seededRandom(seed));
  return Array.from({ length: count }, () => {
    const { dueMs } = schedule;
    schedule.advance();
    return dueMs;
  });
}

function gaps(due: readonly number[]): number[] {
  return due.slice(1).map((ms, i) => ms - (due[i] ?? Number.NaN));
}

describe('a schedule', () => {
  it('of even arrivals has equal gaps, the first request at once', () => {
    const due = times('even', 1000, 1);
    expect(due[0]).toBe(FROM_MS);
    for (const gap of gaps(due)) expect(gap).toBeCloseTo(GAP_MS, 9);
  });

  it('of Poisson arrivals has the number asked for within the window, ascending, the same for a seed', () => {
    const due = times('poisson', 20_000, 5);
    expect(Math.min(...gaps(due))).toBeGreaterThanOrEqual(0);
    expect(due[0]).toBeGreaterThanOrEqual(FROM_MS);
    expect(due.at(-1)).toBeLessThanOrEqual(FROM_MS + 20_000 * GAP_MS);
    expect(times('poisson', 20_000, 5)).toEqual(due);
    expect(times('poisson', 20_000, 6)).not.toEqual(due);
  });

  it.each([
    ['in a window', 20_000],
    ['without end', Number.POSITIVE_INFINITY],
  ])('of Poisson arrivals has exponential gaps %s', (_, planned) => {
    const found = gaps(times('poisson', 20_000, 9, planned));
    const longer = (factor: number) => found.filter((gap) => gap > factor * GAP_MS).length / found.length;
    // The share of gaps longer than x times the average is e^-x; 0.02 is six standard deviations.
    for (const factor of [0.5, 1, 2, 3])
      expect(Math.abs(longer(factor) - Math.exp(-factor))).toBeLessThan(0.02);
  });
});

describe('open mode', () => {
  const CLIENTS = 8;
  const ARGS = ['--mode', 'open', '--clients', String(CLIENTS), '--rate', '200', '--duration', '1s'];

  it.each(['even', 'poisson'])('uses all connections alike, %s arrivals', async (arrivals) => {
    const counts: number[] = [];
    const port = await serverThat((socket) => {
      const connection = counts.push(0) - 1;
      echo(socket);
      socket.on('data', (data) => {
        counts[connection] = (counts[connection] ?? 0) + data.length / 64;
      });
    });
    const { run } = await measured(...ARGS, '--arrivals', arrivals, '--seed', '3', String(port));
    expect(run).toMatchObject({ arrivals, due: 200, unsent: 0, errorTotal: 0, response: { count: 200 } });
    expect(counts).toHaveLength(CLIENTS);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(200);
    // 25 each, as far as answers arrive in the order of the requests.
    expect(Math.min(...counts)).toBeGreaterThan(12);
  });
});
