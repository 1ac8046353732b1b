/**
 * Goal: `kecho-pool/bench` measures from a program, with the types of the package, and refuses what the command refuses.
 * Method: the package's own export, compiled with this test and run against a server in this process.
 */
import { type BenchResult, type BenchSettings, bench, UsageError } from 'kecho-pool/bench';
import { describe, expect, it } from 'vitest';
import { answersAfter, echo, serverThat } from './support/load-servers.ts';

describe('bench()', () => {
  it('resolves with a result for each point, with all times', async () => {
    const port = await serverThat(echo);
    const settings: BenchSettings = {
      target: `127.0.0.1:${port}`,
      clients: [3, 1],
      requests: 7,
      warmupMs: 0,
    };
    const results: BenchResult[] = await bench(settings);
    expect(results.map(({ clients, completed, errorTotal }) => [clients, completed, errorTotal])).toEqual([
      [1, 7, 0],
      [3, 21, 0],
    ]);
    const [{ histograms } = {}] = results;
    expect(histograms?.response.known.buckets.filter((_, i) => i % 2 === 1).reduce((a, b) => a + b)).toBe(7);
  });

  it('runs the stages of a ramp, in order, in open mode by rate', async () => {
    const target = String(await serverThat(answersAfter(1)));
    const stages = [200, 50].map((rate) => ({ durationMs: 100, rate }));
    const results = await bench({ target, mode: 'open', clients: 4, stages, warmupMs: 0 });
    expect(results.map(({ stage, rate, due, clients }) => [stage, rate, due, clients])).toEqual([
      [1, 200, 20, 4],
      [2, 50, 5, 4],
    ]);
  });

  it.each<[unknown, string, RegExp]>([
    [5, 'options', /an object of options/],
    [{ frobnicate: 1 }, 'frobnicate', /one of the options .*durationMs/],
    [{ mode: 'flood' }, 'mode', /burst, closed, open, churn/],
    [{ clients: 0 }, 'clients', /from 1 to 8192/],
    [{ clients: [] }, 'clients', /at least one/],
    [{ durationMs: 0 }, 'durationMs', /more than 0, except with mode burst/],
    [{ durationMs: '5s' }, 'durationMs', /milliseconds as an integer/],
    [{ rate: 5 }, 'rate', /only with mode open/],
    [{ stages: [] }, 'stages', /an array of stages/],
    [{ stages: [{ durationMs: 5, rate: 5 }] }, 'rate', /durationMs, clients/],
    [{ stages: [{ durationMs: 5, clients: 0 }] }, 'stages: clients', /from 1 to 8192/],
    [{ stages: [{ durationMs: 5, clients: 1 }], durationMs: 5 }, 'durationMs', /not together with stages/],
    [{ target: '10.0.0.1:7' }, 'target', /another one needs remote/],
    [{ target: 7 }, 'target', /an address or a name/],
    [{ serverAdmin: '9090', mode: 'burst' }, 'serverAdmin', /closed, open or churn/],
  ])('refuses %j', async (settings, option, allowed) => {
    const error = await bench(settings as BenchSettings).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as UsageError).option).toBe(option);
    expect((error as UsageError).message).toMatch(allowed);
  });
});
