/**
 * Goal: cmwq gives up on one task that no thread has taken when a thread failed to start, and only then.
 * Method: the strategy with threads of the test, which claim an id and exit as the test says.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { claimWorkerId } from '../src/memory/kick.ts';
import { SharedState } from '../src/memory/layout.ts';
import type { KworkerThreads, ThreadEnd, ThreadsOptions } from '../src/pool/threads.ts';
import { Cmwq } from '../src/strategy/cmwq.ts';
import { processClock } from '../src/sys/clock.ts';

const THREAD_ID = 7;
const TASKS = 3; // one CPU pool: two kworkers and the rescuer

let aborted: unknown[];
let exits: ThreadsOptions['onExit'];
let shared: SharedState;
let cmwq: Cmwq;

function makeThreads(options: ThreadsOptions): KworkerThreads {
  exits = options.onExit;
  return {
    start: () => {
      let isQueued = true;
      const abort = (reason: unknown) => {
        if (isQueued) aborted.push(reason);
        const wasQueued = isQueued;
        isQueued = false;
        return wasQueued;
      };
      return { isUp: () => {}, abort };
    },
    size: 0,
    starting: 0,
    made: 0,
    terminate: () => false,
    close: async () => true,
  };
}

beforeEach(() => {
  aborted = [];
  shared = SharedState.create({ cpus: 1, workers: 4, fdLimit: 8, spills: 0 });
  const worklist = {
    epollFd: -1,
    wakeFd: -1,
    add() {},
    delete: () => false,
    has: () => false,
    wake() {},
    close() {},
  };
  cmwq = new Cmwq(
    {
      shared,
      options: {
        cpus: 1,
        cpuIntensiveThreshMs: 0,
        hangTimeoutMs: 0,
        hangKill: false,
        idleTimeoutMs: 1000,
      },
      limits: { maxWorkers: 3 },
      connectionLost: () => false,
      nowMs: processClock.now,
      warn: () => {},
      note: () => {},
      onMessage: () => {},
    },
    { clock: processClock, makeThreads, makeWorklist: () => worklist },
  );
  cmwq.start().catch(() => {}); // ended by stop()
});

afterEach(() => cmwq.stop(0));

describe('a thread that exits without having begun a task', () => {
  const inOrder: ThreadEnd = { error: null, ordered: false, wasUp: true };

  it('aborts nothing when it ended in order: a retired thread took its task', () => {
    claimWorkerId(shared, THREAD_ID);
    exits(THREAD_ID, inOrder);
    expect(aborted).toEqual([]);
  });

  it.each([
    ['died', { ...inOrder, error: new Error('out of memory') }],
    ['was terminated', { ...inOrder, ordered: true }],
    ['never came up', { ...inOrder, wasUp: false }],
  ])('aborts one of the tasks that no thread has taken when it %s', (_, end) => {
    claimWorkerId(shared, THREAD_ID);
    exits(THREAD_ID, end);
    expect(aborted).toHaveLength(1);
  });

  it('aborts all of them, one each time, when none of the threads claims an id', () => {
    for (let failed = 1; failed <= TASKS; failed++) {
      exits(THREAD_ID, { ...inOrder, wasUp: false });
      expect(aborted).toHaveLength(failed);
    }
  });
});
