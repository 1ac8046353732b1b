/**
 * Shared memory with workers and CPU pools for tests of the run slot, and its invariant. No thread.
 */
import { expect } from 'vitest';
import { claimWorkerId, goIdle, setIdle } from '../../src/memory/kick.ts';
import {
  CONNECTIONS,
  MAX_ACTIVE,
  SharedState,
  STATE,
  stateIn,
  WorkerState,
} from '../../src/memory/layout.ts';
import { isGrantTo, loadSlot, slotHolder } from '../../src/memory/run-slot.ts';

/** An arbitrary connection. */
export const FD = 7;

/** Fresh memory: workers 1..n idle, `connections` in each CPU pool. */
export function fresh(workers: number, connections = 3, cpus = 1): SharedState {
  const s = SharedState.create({ cpus, workers: 8, fdLimit: 64, spills: 2 });
  s.words[MAX_ACTIVE] = 1024;
  for (let id = 1; id <= workers; id++) {
    claimWorkerId(s, 100 + id);
    setIdle(s, id);
  }
  for (let pool = 0; pool < cpus; pool++) s.words[s.poolWord(pool, CONNECTIONS)] = connections;
  return s;
}

/** A word of CPU pool 0. */
export function count(s: SharedState, word: number): number {
  return s.words[s.poolWord(0, word)] as number;
}

export function state(s: SharedState, id: number): number {
  return s.words[s.workerWord(id, STATE)] as number;
}

/** Expects a holder whose state is OnDuty for this pool. */
export function expectHeld(s: SharedState, pool = 0): void {
  const id = slotHolder(loadSlot(s, pool));
  expect(id).toBeGreaterThan(0);
  expect(state(s, id)).toBe(stateIn(WorkerState.OnDuty, pool));
}

/** Worker `id` checks its words: begins its duty, or returns to idle. */
export function workerLooks(s: SharedState, id: number, pool = 0): void {
  if (state(s, id) !== stateIn(WorkerState.OnDuty, pool)) return;
  if (!isGrantTo(loadSlot(s, pool), id)) goIdle(s, id, 0);
}
