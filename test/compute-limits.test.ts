/**
 * Goal: the division of the descriptor limit is exact on both sides of each bound.
 * Method: a pure function, called at each bound and one descriptor beyond it; the sums are written out again here.
 */
import { describe, expect, it } from 'vitest';
import { MAX_FD } from '../src/memory/layout.ts';
import { resolveOptions, type UsageError } from '../src/options/index.ts';
import { computeLimits } from '../src/options/limits.ts';
import { usageError } from './support/option-checks.ts';

/** What an error names if the caller gave no number of threads. */
const LIMIT = 'descriptor limit (ulimit -n)';

function limits(given: object, descriptors: number) {
  return computeLimits(resolveOptions(given), descriptors, given);
}

function refusal(given: object, descriptors: number): UsageError {
  return usageError(() => limits(given, descriptors));
}

describe('cmwq', () => {
  it('reserves descriptors for CPU pools, threads, the rescuer and, with a service, the monitor', () => {
    const reserve = 64 + 3 * 2 + (512 + 1) * 8;
    expect(limits({ cpus: 3 }, 20_000)).toEqual({
      descriptors: 20_000,
      reserve,
      maxWorkers: 512,
      maxConnections: 20_000 - reserve,
    });
    expect(limits({ cpus: 3, service: ['sleep:1ms'] }, 20_000).reserve).toBe(reserve + 8); // the monitor
  });

  it('gives at most half of the free descriptors to threads', () => {
    // 64 + 2 * 2 are reserved; half of the rest is for threads, 8 each
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

  it('raises the default number of threads if the CPU pools need more', () => {
    const many = { ...resolveOptions({}), cpus: 600 }; // beyond the range of --cpus
    expect(computeLimits(many, 100_000).maxWorkers).toBe(601);
  });

  it('accepts a given number of threads if it fits', () => {
    const most = 68 + 2 * 8 * 100;
    expect(limits({ cpus: 2, maxWorkers: 100 }, most).maxWorkers).toBe(100);
    const error = refusal({ cpus: 2, maxWorkers: 101 }, most);
    expect(error).toMatchObject({ option: 'maxWorkers', value: 101 });
    expect(error.allowed).toBe(
      `3 to 100 with a descriptor limit of ${most}; 101 need ${most + 16} (ulimit -n)`,
    );
    expect(refusal({ cpus: 1, maxWorkers: 9 }, 98).allowed).toMatch(
      /^2 with a descriptor limit of 98; 9 need/,
    );
    expect(limits({ cpus: 2, maxWorkers: 101 }, most + 16).maxWorkers).toBe(101);
  });

  it('refuses fewer workers than CPU pools and one in reserve', () => {
    const error = refusal({ cpus: 3, maxWorkers: 3 }, 20_000);
    expect(error).toMatchObject({ option: 'maxWorkers', value: 3 });
    expect(error.allowed).toBe('at least 4: one worker per CPU pool and one in reserve');
  });

  it('names both a wrong number and a limit too low for any number', () => {
    const start = 'a descriptor limit of 100 is too low: the minimum of threads for cmwq';
    const why = 'one for each CPU pool and one in reserve';
    expect(refusal({ cpus: 2, maxWorkers: 10 }, 100).allowed).toBe(
      `${start} (3: ${why}) needs ${68 + 3 * 16}, and 10 need ${68 + 10 * 16} (ulimit -n)`,
    );
    for (const maxWorkers of [4, 5]) {
      const error = refusal({ cpus: 4, maxWorkers }, 100);
      expect(error).toMatchObject({ option: 'maxWorkers', value: maxWorkers });
      expect(error.allowed).toBe(`${start} (5: ${why}) needs ${72 + 5 * 16} (ulimit -n)`);
    }
    const ten = { strategy: 'kthread', maxWorkers: 10 };
    expect(refusal(ten, 10).allowed).toContain(`kthread (1) needs ${64 + 9}, and 10 need ${64 + 90}`);
  });

  it('gives advice that leads to no second error', () => {
    for (let descriptors = 60; descriptors < 400; descriptors += 7) {
      for (const cpus of [1, 2, 5]) {
        const { allowed } = refusal({ cpus, maxWorkers: cpus }, descriptors);
        const advised = Number(/needs? (\d+)/.exec(allowed)?.[1] ?? descriptors);
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
    expect(limits({ ...options, service: ['sleep:1ms'] }, 64 + 9 * 10).reserve).toBe(64 + 10 * 8); // no monitor
    expect(limits(options, 64 + 9 * 10 - 1).maxWorkers).toBe(9);
    expect(limits(options, 64 + 9).maxWorkers).toBe(1);
    expect(refusal(options, 64 + 8)).toMatchObject({
      ...{ option: LIMIT, value: 64 + 8 },
      allowed: `at least ${64 + 9}, for the threads of kthread (1)`,
    });
  });
});

describe('workqueue', () => {
  it('reserves descriptors for its workers only', () => {
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
  it('has descriptors of its own if it is on', () => {
    const options = resolveOptions({ strategy: 'workqueue', workers: 2 });
    expect(computeLimits({ ...options, admin: '127.0.0.1:0' }, 1024).reserve).toBe(64 + 80 + 2 * 8);
  });
});

describe('the admin endpoint', () => {
  it('takes its descriptors from the reserve, under every strategy', () => {
    for (const options of [
      { strategy: 'workqueue', workers: 2 },
      { cpus: 2, maxWorkers: 10 },
    ]) {
      const without = limits(options, 4096);
      const { reserve, maxConnections } = limits({ ...options, admin: '9090' }, 4096);
      expect(reserve).toBe(without.reserve + 64 + 8 + 8);
      expect(maxConnections).toBe(without.maxConnections - 64 - 8 - 8);
    }
    expect(limits({ strategy: 'kthread', admin: '0' }, 64 + 80 + 9 * 10).maxWorkers).toBe(10);
    expect(limits({ strategy: 'kthread', admin: '0' }, 64 + 80 + 9 * 10 - 1).maxWorkers).toBe(9);
  });
});

describe('connections', () => {
  const options = { strategy: 'workqueue', workers: 2 };

  it('are limited as given, reduced to what fits', () => {
    expect(limits({ ...options, maxConnections: 943 }, 1024).maxConnections).toBe(943);
    expect(limits({ ...options, maxConnections: 945 }, 1024).maxConnections).toBe(944);
  });

  it('never exceed the descriptors that a run slot can hold', () => {
    expect(limits(options, 1 << 30).maxConnections).toBe(MAX_FD - 80);
  });
});
