/**
 * Goal: the CPU time of a CPU pool is that of the duties for it, each counted once, and never falls.
 * Method: plain memory and a virtual CPU clock, interrupting each side at every atomic operation by the other; and
 * servers whose services burn a known CPU time.
 */
import { describe, expect, it } from 'vitest';
import { beginDuty, endDuty, PoolCpuTimes } from '../src/memory/cpu-time.ts';
import { goIdle } from '../src/memory/kick.ts';
import { DUTY_CPU_MS, STATE, stateIn, WorkerState } from '../src/memory/layout.ts';
import { freeWorker } from '../src/pool/roster.ts';
import { metricsOf, sampleOf, startAdmin } from './support/admin.ts';
import { connectTo } from './support/client.ts';
import { interrupt } from './support/interleave.ts';
import { startServer } from './support/server.ts';
import { fresh } from './support/slot-memory.ts';
import { until } from './support/wait.ts';

/** Worker 1, whose CPU time is `cpuMs`, on duty for CPU pool 0 since 10 ms; and main. */
function scenario() {
  const s = fresh(1, 3, 2);
  const clock = { cpuMs: 10 };
  const word = new Int32Array(1);
  const times = new PoolCpuTimes(s, () => {
    const { cpuMs } = clock;
    Atomics.load(word, 0); // so that the worker can interrupt main after it has read the clock
    return cpuMs;
  });
  const enter = (pool: number) => {
    Atomics.store(s.words, s.workerWord(1, STATE), stateIn(WorkerState.OnDuty, pool));
    beginDuty(s, 1, clock.cpuMs);
  };
  const moveToPool1 = () => {
    clock.cpuMs = 30;
    endDuty(s, 1, 0, clock.cpuMs);
    goIdle(s, 1, 0);
    clock.cpuMs = 31;
    enter(1);
    clock.cpuMs = 40;
  };
  enter(0);
  clock.cpuMs = 15;
  return { s, clock, times, enter, moveToPool1 };
}

describe('forced races', () => {
  it('a worker changes to another CPU pool while main reads: no duty counts twice or elsewhere', () => {
    const steps = interrupt(() => {
      const { times, moveToPool1 } = scenario();
      let shown: readonly number[] = [];
      return {
        run: () => {
          shown = times.read();
        },
        other: moveToPool1,
        check: (cutAt) => {
          const [first = Number.NaN, second = Number.NaN] = shown;
          expect(first, `cut at ${cutAt}`).toBeLessThanOrEqual(20);
          expect(second, `cut at ${cutAt}`).toBeLessThanOrEqual(9);
          expect(times.read(), `cut at ${cutAt}`).toEqual([20, 9]);
        },
      };
    });
    expect(steps).toBeGreaterThan(5);
  });

  it('main reads while a worker changes to another CPU pool: no figure falls', () => {
    interrupt(() => {
      const { times, moveToPool1 } = scenario();
      expect(times.read()).toEqual([5, 0]);
      let shown: readonly number[] = [];
      return {
        run: moveToPool1,
        other: () => {
          shown = times.read();
        },
        check: (cutAt) => {
          expect(shown[0], `cut at ${cutAt}`).toBeGreaterThanOrEqual(5);
          expect(shown[0], `cut at ${cutAt}`).toBeLessThanOrEqual(20);
          expect(times.read(), `cut at ${cutAt}`).toEqual([20, 9]);
        },
      };
    });
  });

  it('a death loses its duty, and the next thread with this id begins at 0', () => {
    const { s, clock, times, enter } = scenario();
    expect(times.read()).toEqual([5, 0]);
    freeWorker(s, 1);
    expect(s.doubles[s.workerDouble(1, DUTY_CPU_MS)]).toBe(0);
    expect(times.read()).toEqual([5, 0]);
    clock.cpuMs = 1;
    enter(0);
    clock.cpuMs = 4;
    expect(times.read()).toEqual([5, 0]);
    clock.cpuMs = 8;
    expect(times.read()).toEqual([7, 0]);
  });
});

describe('cmwq', () => {
  // At 1 ms every item loses the slot, so a duty ends with each; at 0 one duty lasts throughout.
  it.each([1, 0])('counts the CPU time of the items of each CPU pool, threshold %i ms', async (threshMs) => {
    const { server, port } = await startServer({
      cpus: 2,
      cpuIntensiveThreshMs: threshMs,
      service: ['burn:20ms', 'burn:0.1ms'],
    });
    const { url } = await startAdmin(server);
    const [burner, other] = [await connectTo(port), await connectTo(port)];
    const figures = () => server.stats().cpuPools.map(({ cpuTimeMs }) => cpuTimeMs);
    let last = figures();
    for (let i = 1; i <= 10; i++) {
      await burner.echo('x');
      await other.echo('x');
      const now = figures();
      for (const [pool, ms] of now.entries()) expect(ms).toBeGreaterThanOrEqual(last[pool] ?? Number.NaN);
      last = now;
    }
    expect(server.stats().cpuPools.map(({ connections }) => connections)).toEqual([1, 1]);
    // A duty that is about to end is missing for a moment.
    await until(() => (figures()[0] ?? Number.NaN) >= 200, 'all items of CPU pool 0 to be counted');
    expect(figures()[1]).toBeLessThan(100);
    const { workers, stats } = server.status();
    const sum = (figures: readonly (number | null)[]) =>
      figures.reduce<number>((a, b) => a + (b ?? Number.NaN), 0);
    // A worker's thread also loads, idles and ends outside its duties.
    expect(sum(stats.cpuPools.map(({ cpuTimeMs }) => cpuTimeMs))).toBeLessThan(
      sum(workers.map(({ cpuTimeMs }) => cpuTimeMs)),
    );
    const before = figures()[0] ?? Number.NaN;
    const seconds = sampleOf(await metricsOf(url), 'cpu_pool_cpu_seconds_total{pool="0"}') ?? Number.NaN;
    expect(seconds).toBeGreaterThanOrEqual(before / 1000); // seconds * 1000 may be another number
    expect(seconds).toBeLessThanOrEqual((figures()[0] ?? Number.NaN) / 1000);
  });
});
