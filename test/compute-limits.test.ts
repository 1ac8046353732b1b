/**
 * Goal: the sums over the descriptor limit are right to the last descriptor, on both sides of each bound.
 * Method: a pure function; each bound is met and passed by one, and the sums are written out again here.
 */
import { describe, expect, it } from 'vitest';
import { MAX_FD } from '../src/memory/layout.ts';
import { resolveOptions, type UsageError } from '../src/options/index.ts';
import { computeLimits } from '../src/options/limits.ts';
import { usageError } from './support/option-checks.ts';

/** What an error names where nobody gave a number of threads. */
const LIMIT = 'descriptor limit (ulimit -n)';

function limits(given: object, descriptors: number) {
  return computeLimits(resolveOptions(given), descriptors, given);
}

function refusal(given: object, descriptors: number): UsageError {
  return usageError(() => limits(given, descriptors));
}

describe('cmwq', () => {
  it('pays for its CPU pools, its threads and the rescuer', () => {
    const reserve = 64 + 3 * 2 + (512 + 1) * 8;
    expect(limits({ cpus: 3 }, 20_000)).toEqual({
      descriptors: 20_000,
      reserve,
      maxWorkers: 512,
      maxConnections: 20_000 - reserve,
    });
  });

  it('gives half of what is free to threads', () => {
    // 64 + 2 * 2 taken; of the rest, half for threads of 8
    expect(limits({ cpus: 2 }, 68 + 2 * 8 * 59).maxWorkers).toBe(59);
    expect(limits({ cpus: 2 }, 68 + 2 * 8 * 59 - 1).maxWorkers).toBe(58);
  });

  it('needs a worker for each CPU pool and one in reserve', () => {
    expect(limits({ cpus: 4, maxWorkers: 5 }, 20_000).maxWorkers).toBe(5);
    expect(limits({ cpus: 4 }, 72 + 2 * 8 * 5).maxWorkers).toBe(5);
    const error = refusal({ cpus: 4 }, 72 + 2 * 8 * 5 - 1);
    expect(error).toMatchObject({ option: LIMIT, value: 72 + 2 * 8 * 5 - 1 });
    expect(error.allowed).toBe(
      `at least ${72 + 2 * 8 * 5}, for the threads of cmwq (5: one for each CPU pool and one in reserve)`,
    );
  });

  it('has more threads than by default when the CPU pools need them', () => {
    const many = { ...resolveOptions({}), cpus: 600 }; // above today's range of --cpus
    expect(computeLimits(many, 100_000).maxWorkers).toBe(601);
  });

  it('takes what was asked for as far as it fits', () => {
    const most = 68 + 2 * 8 * 100;
    expect(limits({ cpus: 2, maxWorkers: 100 }, most).maxWorkers).toBe(100);
    const error = refusal({ cpus: 2, maxWorkers: 101 }, most);
    expect(error).toMatchObject({ option: 'maxWorkers', value: 101 });
    expect(error.allowed).toBe(
      `3 to 100 fit a descriptor limit of ${most}, and 101 one of ${most + 16} (ulimit -n)`,
    );
    expect(refusal({ cpus: 1, maxWorkers: 9 }, 98).allowed).toMatch(/^2 fit a descriptor limit of 98, and 9/);
    expect(limits({ cpus: 2, maxWorkers: 101 }, most + 16).maxWorkers).toBe(101);
  });

  it('refuses fewer workers than CPU pools and one in reserve', () => {
    const error = refusal({ cpus: 3, maxWorkers: 3 }, 20_000);
    expect(error).toMatchObject({ option: 'maxWorkers', value: 3 });
    expect(error.allowed).toBe('at least 4: one worker per CPU pool and one in reserve');
  });

  it('says at once that a number is wrong and that the limit is too low for a right one', () => {
    const start = 'a descriptor limit of 100 is too low: the fewest threads of cmwq';
    const why = 'one for each CPU pool and one in reserve';
    expect(refusal({ cpus: 2, maxWorkers: 10 }, 100).allowed).toBe(
      `${start} (3: ${why}) need one of ${68 + 3 * 16}, and 10 one of ${68 + 10 * 16} (ulimit -n)`,
    );
    for (const maxWorkers of [4, 5]) {
      const error = refusal({ cpus: 4, maxWorkers }, 100);
      expect(error).toMatchObject({ option: 'maxWorkers', value: maxWorkers });
      expect(error.allowed).toBe(`${start} (5: ${why}) need one of ${72 + 5 * 16} (ulimit -n)`);
    }
    const ten = { strategy: 'kthread', maxWorkers: 10 };
    expect(refusal(ten, 10).allowed).toContain(`kthread (1) need one of ${64 + 9}, and 10 one of ${64 + 90}`);
  });

  it('whose advice is followed is not refused again', () => {
    for (let descriptors = 60; descriptors < 400; descriptors += 7) {
      for (const cpus of [1, 2, 5]) {
        const { allowed } = refusal({ cpus, maxWorkers: cpus }, descriptors);
        const advised = Number(/one of (\d+)/.exec(allowed)?.[1] ?? descriptors);
        expect(limits({ cpus, maxWorkers: cpus + 1 }, advised).maxWorkers).toBe(cpus + 1);
      }
    }
  });
});

describe('kthread', () => {
  it('shares the descriptors between threads and their connections', () => {
    const options = { strategy: 'kthread' };
    expect(limits(options, 64 + 9 * 10)).toEqual({
      descriptors: 154,
      reserve: 64 + 10 * 8,
      maxWorkers: 10,
      maxConnections: 10,
    });
    expect(limits(options, 64 + 9 * 10 - 1).maxWorkers).toBe(9);
    expect(limits(options, 64 + 9).maxWorkers).toBe(1);
    expect(refusal(options, 64 + 8)).toMatchObject({
      ...{ option: LIMIT, value: 64 + 8 },
      allowed: `at least ${64 + 9}, for the threads of kthread (1)`,
    });
  });
});

describe('workqueue', () => {
  it('pays for its workers alone', () => {
    const options = { strategy: 'workqueue', workers: 2 };
    expect(limits(options, 1024)).toEqual({
      descriptors: 1024,
      reserve: 64 + 2 * 8,
      maxWorkers: 2,
      maxConnections: 1024 - 80,
    });
    expect(limits({ ...options, workers: 1 }, 80).maxWorkers).toBe(1);
    expect(refusal(options, 64 + 2 * 2 * 8 - 1)).toMatchObject({ option: 'workers', value: 2 });
    const byDefault = resolveOptions({ strategy: 'workqueue' });
    const needed = 64 + byDefault.workers * 2 * 8;
    expect(limits({ strategy: 'workqueue' }, needed).maxWorkers).toBe(byDefault.workers);
    expect(refusal({ strategy: 'workqueue' }, needed - 1)).toMatchObject({
      option: LIMIT,
      allowed: `at least ${needed}, for the threads of workqueue (${byDefault.workers})`,
    });
  });
});

describe('the admin endpoint', () => {
  it('has descriptors of its own when it is on', () => {
    const options = resolveOptions({ strategy: 'workqueue', workers: 2 });
    expect(computeLimits({ ...options, admin: '127.0.0.1:0' }, 1024).reserve).toBe(64 + 72 + 2 * 8);
  });
});

describe('the admin endpoint', () => {
  it('has its descriptors from the reserve, whatever the strategy', () => {
    for (const options of [
      { strategy: 'workqueue', workers: 2 },
      { cpus: 2, maxWorkers: 10 },
    ]) {
      const without = limits(options, 4096);
      const { reserve, maxConnections } = limits({ ...options, admin: '9090' }, 4096);
      expect(reserve).toBe(without.reserve + 64 + 8);
      expect(maxConnections).toBe(without.maxConnections - 64 - 8);
    }
    expect(limits({ strategy: 'kthread', admin: '0' }, 64 + 72 + 9 * 10).maxWorkers).toBe(10);
    expect(limits({ strategy: 'kthread', admin: '0' }, 64 + 72 + 9 * 10 - 1).maxWorkers).toBe(9);
  });
});

describe('connections', () => {
  const options = { strategy: 'workqueue', workers: 2 };

  it('are as many as were asked for, cut to what fits', () => {
    expect(limits({ ...options, maxConnections: 943 }, 1024).maxConnections).toBe(943);
    expect(limits({ ...options, maxConnections: 945 }, 1024).maxConnections).toBe(944);
  });

  it('have descriptors that a run slot can hold', () => {
    expect(limits(options, 1 << 30).maxConnections).toBe(MAX_FD - 80);
  });
});
