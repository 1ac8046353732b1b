/**
 * Goal: `kecho-pool merge` adds up what several generators measured, exactly, and refuses what has no sum.
 * Method: histograms of the same samples, together and apart; made-up results; two generators that start together.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { rounded } from '../bench/load/command/formats.ts';
import { mergedPoints, mergeReport, parseResults } from '../bench/load/command/merge.ts';
import { runMerge } from '../bench/load/command/run-merge.ts';
import { parseStartAt } from '../bench/load/command/values.ts';
import { ERROR_CLASSES, type ErrorCounts } from '../bench/load/result.ts';
import type { BenchRun } from '../bench/load/schema.ts';
import { Times } from '../bench/load/times.ts';
import { seededRandom } from '../bench/random.ts';
import { command } from '../src/cli/commands/merge.ts';
import { runBin } from './support/child.ts';
import { temporaryFolder } from './support/folder.ts';
import { bench } from './support/load-bench.ts';
import { echo, serverThat } from './support/load-servers.ts';
import { parsed } from './support/parsed.ts';

const errors = Object.fromEntries(ERROR_CLASSES.map((name) => [name, 0])) as ErrorCounts;

function timesOf(samples: readonly number[], censored: readonly number[] = []): Times {
  const times = new Times();
  for (const ms of samples) times.record(ms);
  for (const ms of censored) times.censor(ms);
  return times;
}

function runWith(times: Times, changes: Partial<BenchRun> = {}): BenchRun {
  const { count } = times.distribution();
  return {
    ...{
      target: '10.0.0.1:7',
      mode: 'closed',
      clients: 10,
      requests: 0,
      messageBytes: 64,
      repeat: 1,
      seed: 1,
    },
    ...{ durationMs: 5000, startedAt: '2026-01-31T14:00:00.000Z', windowMs: 5000, completed: count },
    ...{ perSecond: count / 5, response: times.distribution(), connect: times.distribution() },
    ...{
      errors,
      errorTotal: 0,
      errorDetails: [],
      generatorCpus: null,
      generatorCpuShare: 0.5,
      saturated: false,
      opened: 10,
    },
    partial: false,
    histograms: { response: times.parts(), connect: times.parts() },
    ...changes,
  };
}

/** As bench writes them and merge reads them. */
function file(name: string, ...runs: readonly BenchRun[]) {
  return parseResults(name, runs.map((run) => `${JSON.stringify(rounded(run))}\n`).join(''));
}

describe('percentiles of several generators', () => {
  it('are exactly those of one histogram of the same samples', () => {
    const random = seededRandom(17);
    // Generators of unlike speed: averages of their percentiles would be far off.
    const shares = [0.05, 3, 0.7].map((scale, i) =>
      Array.from({ length: 3000 * (i + 1) }, () => scale * (0.5 - Math.log(1 - random()))),
    );
    const bounds = [[], [20.25, 31.5], [0.001]];
    const parts = shares.map((samples, i) => timesOf(samples, bounds[i]));
    const [point, ...none] = mergedPoints(parts.map((times, i) => file(`${i}.json`, runWith(times))));
    expect(none).toEqual([]);
    const whole = timesOf(shares.flat(), bounds.flat());
    expect(point?.times.parts()).toEqual(whole.parts());
    expect(point?.response).toEqual(whole.distribution());
    expect(point?.connect).toEqual(whole.distribution());
    expect(point).toMatchObject({ clients: 30, perSecond: shares.flat().length / 5 });
  });

  it('are those of all repeats, at the sum of the median rates', () => {
    const repeats = (rates: readonly number[]) =>
      rates.map((perSecond, i) => runWith(timesOf([i + 1]), { repeat: i + 1, perSecond }));
    const [point] = mergedPoints([file('a', ...repeats([1, 2, 9])), file('b', ...repeats([10, 40, 20]))]);
    expect(point).toMatchObject({ perSecond: 22, response: { count: 6, p50Ms: expect.closeTo(2, 1) } });
  });

  it('are those of each stage', () => {
    const stages = [1, 2].map((stage) => runWith(timesOf([stage]), { stage, clients: 5 }));
    const points = mergedPoints([file('a', ...stages), file('b', ...stages)]);
    expect(points.map(({ stage, clients, response }) => [stage, clients, response.worstMs])).toEqual([
      [1, 10, 1],
      [2, 10, 2],
    ]);
  });
});

describe('a merge', () => {
  const times = timesOf([1, 2, 3]);
  const first = file('a.json', runWith(times));

  it.each<[string, Partial<BenchRun>]>([
    ['target is 10.0.0.2:7 instead of 10.0.0.1:7', { target: '10.0.0.2:7' }],
    ['mode is churn instead of closed', { mode: 'churn' }],
    ['messageBytes is 65 instead of 64', { messageBytes: 65 }],
    ['durationMs is 4000 instead of 5000', { durationMs: 4000 }],
    ['rate is 5 instead of absent', { rate: 5 }],
    ['it has no result for 10 clients, repeat 1', { clients: 11 }],
    ['it has no result for 10 clients, repeat 1', { repeat: 2 }],
  ])('refuses another load: %s', (why, changes) => {
    const other = file('b.json', runWith(times, changes));
    expect(() => mergeReport([first, other])).toThrow(`b.json: ${why}: the same load as a.json`);
  });

  it('refuses results that the first does not have', () => {
    const more = file('b.json', runWith(times), runWith(times, { clients: 20 }));
    expect(() => mergeReport([first, more])).toThrow('b.json: it has a result for 20 clients, repeat 1');
  });

  it.each([
    ['', 'no results'],
    ['{', 'line 1: not JSON'],
    ['{"clients":1}', 'line 1: mode'],
  ])('refuses a file that is no output of bench: %j', (text, why) => {
    expect(() => parseResults('x.json', text)).toThrow(`x.json: ${why}`);
  });

  it('refuses a file with the results of two measurements', () => {
    expect(() => file('a.json', runWith(times), runWith(times))).toThrow(
      'a.json: it has two results for 10 clients, repeat 1',
    );
  });

  it('names the generators that were saturated, late, interrupted or not there at the time', () => {
    const { warnings } = mergeReport([
      first,
      file('b.json', runWith(times, { saturated: true })),
      file('c.json', runWith(times, { partial: true })),
      file('d.json', runWith(times, { startedAt: '2026-01-31T14:00:03.000Z' })),
    ]);
    expect(warnings.map((text) => text.slice(0, 40))).toEqual([
      'a.json and d.json did not begin together',
      expect.stringMatching(/^b\.json: at 10 clients the generator ran/),
      'c.json was interrupted',
    ]);
  });

  it('shares the CPU time of the server out among the requests of all generators', () => {
    const one = (perSecond: number, serverCpuPerSampleUs?: number) =>
      runWith(times, {
        perSecond,
        ...(serverCpuPerSampleUs === undefined ? {} : { serverCpuPerSampleUs }),
      });
    const merged = (...runs: BenchRun[]) =>
      mergedPoints(runs.map((run, i) => file(`${i}.json`, run)))[0]?.cpuPerSampleUs;
    expect(merged(one(3000, 40), one(1000, 120))).toBe(30); // 120 ms a second, for 4000 requests
    expect(merged(one(3000, 40), one(1000))).toBe(30);
    expect(merged(one(3000), one(1000))).toBeNull();
  });

  it('counts errors', () => {
    const failing = runWith(times, { errors: { ...errors, reset: 2 }, errorTotal: 2 });
    const { errorTotal, text } = mergeReport([first, file('b.json', failing)]);
    expect(errorTotal).toBe(2);
    expect(text).toContain('2 reset');
  });
});

describe('the command', () => {
  it('merges two generators that begin at a given time', async () => {
    const port = await serverThat(echo);
    const files = ['a.json', 'b.json'].map((name) => join(temporaryFolder(), name));
    const at = Math.ceil(Date.now() / 1000) + 1;
    const children = await Promise.all(
      files.map((path) =>
        bench(
          ...['--clients', '2', '--requests', '50', '--warmup', '0', '--start-at', `@${at}`],
          ...['--json', path, String(port)],
        ),
      ),
    );
    expect(children.map(({ code }) => code)).toEqual([0, 0]);
    for (const path of files) {
      const { startedAt } = JSON.parse(readFileSync(path, 'utf8')) as BenchRun;
      expect(Date.parse(startedAt)).toBeGreaterThanOrEqual(at * 1000);
    }
    const merge = runBin(['merge', ...files]);
    expect((await merge.untilEnded()).code).toBe(0);
    expect(merge.stdout).toMatch(/^closed 127\.0\.0\.1:\d+, 2 generators, 64 bytes\n/);
    expect(merge.stdout).toMatch(/\n +4 +200 /); // clients and samples
  });

  it('refuses a file that cannot be read, or is given twice', async () => {
    const path = join(temporaryFolder(), 'a.json');
    writeFileSync(path, `${JSON.stringify(runWith(timesOf([1])))}\n`);
    const missing = `${path}.none`;
    await expect(runMerge({ files: [path, missing] })).rejects.toThrow(
      `${missing}: it cannot be read (ENOENT)`,
    );
    await expect(runMerge({ files: [path, path] })).rejects.toThrow(`${path}: it is given twice`);
  });

  it('takes any number of files, and at least one', () => {
    expect(parsed(command, ['a', 'b', 'c'])).toEqual({ files: ['a', 'b', 'c'] });
    expect(() => parsed(command, [])).toThrow("missing required argument 'files'");
  });
});

describe('--start-at', () => {
  const nowMs = Date.parse('2026-01-31T13:30:00Z');

  it.each([
    ['2026-01-31T14:00:00Z', 30 * 60_000],
    ['2026-01-31T15:00:00.250+01:00', 30 * 60_000 + 250],
    [`@${nowMs / 1000 + 5}`, 5000],
    [`@${nowMs / 1000 + 0.5}`, 500],
    ['2026-01-31T13:29:59Z', -1000],
  ])('takes %s', (text, inMs) => {
    expect(parseStartAt(text, '--start-at', nowMs)).toBe(nowMs + inMs);
  });

  it.each([
    '14:00',
    '2026-01-31T14:00:00',
    '2026-01-31T13:00:00Z',
    '2026-01-31T14:30:01Z',
    '@5',
    '2026-13-31T14:00:00Z',
  ])('refuses %s', (text) => {
    expect(() => parseStartAt(text, '--start-at', nowMs)).toThrow(/--start-at: .* within the next hour/);
  });
});
