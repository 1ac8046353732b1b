/**
 * Goal: requests that timed out or were never sent do not make a server look faster: figures that they may raise are
 * lower bounds, shown as such, and satisfy no upper limit; other figures stay exact.
 * Method: times against sorted lists in which the unknown ones are once as short and once as long as they can be;
 * `kecho-pool bench` as a child process against servers in this process that do not answer every client.
 */
import { describe, expect, it } from 'vitest';
import { Times } from '../bench/load/times.ts';
import { seededRandom } from '../bench/random.ts';
import { bench, measured } from './support/load-bench.ts';
import { answersAfter, type Behaviour, echo, neverAnswers, serverThat } from './support/load-servers.ts';
import { rank } from './support/rank.ts';

const PERCENTILES = [
  ['p50Ms', 50],
  ['p90Ms', 90],
  ['p95Ms', 95],
  ['p99Ms', 99],
  ['p999Ms', 99.9],
] as const;

describe('times', () => {
  it.each([0, 1, 3, 20, 200, 1000])('with %i of 1,000 censored are bounds where these matter', (censored) => {
    const random = seededRandom(censored);
    const wholeNs = (ms: number) => Math.round(ms * 1e6) / 1e6;
    const known = Array.from({ length: 1000 - censored }, () => wholeNs(1 + 99 * random()));
    // Shorter and longer than what was measured.
    const bounds = Array.from({ length: censored }, () => wholeNs(50 + 100 * random()));
    const times = new Times();
    for (const ms of known) times.record(ms);
    for (const ms of bounds) times.censor(ms);
    const sorted = (list: readonly number[]) => [...list].sort((a, b) => a - b);
    const shortest = sorted([...known, ...bounds]);
    const longest = sorted([...known, ...bounds.map(() => Number.POSITIVE_INFINITY)]);
    const found = times.distribution();
    expect([found.count, found.censored]).toEqual([1000 - censored, censored]);
    for (const [name, percent] of PERCENTILES) {
      const exact = rank(shortest, percent);
      expect(found[name]).toBeGreaterThanOrEqual(exact * (1 - 1e-12));
      expect(found[name]).toBeLessThan(exact * 1.0005);
      const highest = rank(longest, percent);
      if (highest === exact) expect(found.atLeast, name).not.toContain(name);
      // Less is within the width of a bucket.
      if (highest > exact * 1.0005) expect(found.atLeast, name).toContain(name);
    }
    expect(found.atLeast.includes('averageMs')).toBe(censored > 0);
    expect(found.atLeast.includes('worstMs')).toBe(censored > 0);
    expect(found.worstMs).toBe(Math.max(...shortest));
    expect(found.averageMs).toBeCloseTo(shortest.reduce((sum, ms) => sum + ms, 0) / 1000, 6);
  });

  it('are the same when several runs are added up', () => {
    const [one, other, all] = [new Times(), new Times(), new Times()];
    for (let i = 1; i <= 300; i++) (i % 2 === 0 ? one : other).record(i);
    other.censor(500);
    for (const part of [one, other]) all.add(part.parts());
    expect(all.distribution()).toMatchObject({
      ...{ count: 300, censored: 1, worstMs: 500 },
      atLeast: ['averageMs', 'worstMs', 'p999Ms'],
    });
  });
});

describe('bench', () => {
  /** Answers all clients but one in ten. */
  function mostlyAnswering(): Behaviour {
    let n = 0;
    return (socket) => (n++ % 10 === 9 ? neverAnswers(socket) : echo(socket));
  }

  const BURST = ['--mode', 'burst', '--clients', '20', '--timeout', '4s', '--warmup', '0'];

  it('counts requests that timed out as at least as long as they were waited for', async () => {
    const { run } = await measured(...BURST, String(await serverThat(mostlyAnswering())));
    expect(run.errors.timeout).toBe(2);
    const { response } = run;
    expect(response).toMatchObject({ count: 18, censored: 2 });
    expect(response.atLeast.toSorted()).toEqual(['averageMs', 'p95Ms', 'p999Ms', 'p99Ms', 'worstMs']);
    expect(response.p99Ms).toBeGreaterThanOrEqual(4000);
    expect(response.averageMs).toBeGreaterThanOrEqual(400);
    expect(response.p90Ms).toBeLessThan(4000); // the 18th of 20
  });

  it('shows them as bounds in the table and the CSV, and fails thresholds on them', async () => {
    const port = String(await serverThat(mostlyAnswering()));
    const table = await bench(...BURST, '--threshold', 'p99<60s', '--threshold', 'p50<4s', port);
    expect(table.stdout).toMatch(/; >= at least: requests timed out or were never sent\n/);
    expect(table.stdout).toMatch(/ >=4,\d{3} /);
    expect(table.code).toBe(10);
    expect(table.stderr).toMatch(
      /threshold p99<60s failed at 20 clients: at least 4\d{3} ms, as 2 of 20 timed out or were never sent/,
    );
    expect(table.stderr).toContain(
      "threshold p50<4s failed at 20 clients: 2 requests timed out (--threshold 'errors<N' allows some)",
    );
    const allowed = await bench(
      ...BURST,
      ...['--threshold', 'errors<3', '--threshold', 'p50<4s', '--csv', port],
    );
    expect([allowed.code, allowed.stderr.includes('threshold')]).toEqual([1, false]);
    const [names, values] = allowed.stdout.split('\n').map((line) => line.split(','));
    const of = (name: string) => values?.[names?.indexOf(name) ?? -1];
    expect([of('censored'), of('atLeast')]).toEqual(['2', 'averageMs worstMs p95Ms p99Ms p999Ms']);
  });

  it('counts them also if they began in the warm-up', async () => {
    const args = [
      '--mode',
      'closed',
      '--clients',
      '20',
      '--warmup',
      '500ms',
      '--duration',
      '4s',
      '--timeout',
      '4s',
    ];
    const { run } = await measured(...args, String(await serverThat(mostlyAnswering())));
    expect(run.errors.timeout).toBe(2);
    expect(run.response.censored).toBe(2);
    // And percentiles, on a machine that answers few requests meanwhile.
    expect(run.response.atLeast).toEqual(expect.arrayContaining(['averageMs', 'worstMs']));
    expect(run.response.worstMs).toBeGreaterThanOrEqual(4000);
  });

  it('counts requests that were never sent as at least as long as they were due', async () => {
    const port = await serverThat(answersAfter(100));
    const args = ['--mode', 'open', '--rate', '100', '--clients', '1', '--duration', '1s', '--timeout', '1s'];
    const { run } = await measured(...args, String(port));
    // About 20 are answered within the window and the timeout; the others wait for a second at least.
    expect(run.unsent).toBeGreaterThan(50);
    expect(run.response.censored).toBe((run.unsent ?? 0) + run.errors.timeout);
    expect(run.response.count + run.response.censored).toBe(100);
    expect(run.response.atLeast).toContain('p99Ms');
    expect(run.response.p99Ms).toBeGreaterThanOrEqual(1000);
  });
});
