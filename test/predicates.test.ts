/**
 * Goal: the predicates of a concurrency-managed workqueue return what those of kernel/workqueue.c do.
 * Method: every combination of small numbers against the kernel's expression, repeated here.
 */
import { describe, expect, it } from 'vitest';
import {
  keepWorking,
  MAX_IDLE_WORKERS_RATIO,
  mayActivate,
  mayStartWorking,
  needMoreWorker,
  needToCreateWorker,
  tooManyWorkers,
} from '../src/memory/predicates.ts';

const pendings = [false, true];
const smalls = [0, 1, 2, 3, 4, 5, 6, 9, 10, 11];

describe('predicates', () => {
  it('need_more_worker: !list_empty(worklist) && !nr_running', () => {
    for (const pending of pendings) {
      for (const running of smalls) expect(needMoreWorker(pending, running)).toBe(pending && running === 0);
    }
  });

  it('may_start_working: nr_idle', () => {
    for (const idle of smalls) expect(mayStartWorking(idle)).toBe(idle !== 0);
  });

  it('keep_working: !list_empty(worklist) && nr_running <= 1', () => {
    for (const pending of pendings) {
      for (const running of smalls) expect(keepWorking(pending, running)).toBe(pending && running < 2);
    }
  });

  it('need_to_create_worker: need_more_worker && !may_start_working', () => {
    for (const pending of pendings) {
      for (const running of smalls) {
        for (const idle of smalls) {
          expect(needToCreateWorker(pending, running, idle)).toBe(pending && running === 0 && idle === 0);
        }
      }
    }
  });

  it('too_many_workers: nr_idle > 2 && (nr_idle - 2) * 4 >= nr_busy', () => {
    expect(MAX_IDLE_WORKERS_RATIO).toBe(4);
    expect(tooManyWorkers(2, 0)).toBe(false);
    expect(tooManyWorkers(3, 4)).toBe(true);
    expect(tooManyWorkers(3, 5)).toBe(false);
    expect(tooManyWorkers(4, 8)).toBe(true);
    expect(tooManyWorkers(4, 9)).toBe(false);
  });

  it('culling one by one ends at two idle workers when none is busy', () => {
    let idle = 40;
    while (tooManyWorkers(idle, 0)) idle--;
    expect(idle).toBe(2);
  });

  it('max_active: an item may begin below it, not at it', () => {
    expect(mayActivate(0, 1)).toBe(true);
    expect(mayActivate(1, 1)).toBe(false);
    expect(mayActivate(1023, 1024)).toBe(true);
    expect(mayActivate(1024, 1024)).toBe(false);
  });
});
