/**
 * The order of the runs. Pure: the same seed gives the same order.
 *
 * Runs of one repeat and one cell stand next to each other, in a shuffled order of servers: they are the
 * pairs that are compared, and whatever the machine does slowly (heat, neighbours) meets both alike.
 */
import type { Cell, ServerName } from './cells.ts';

export interface PlannedRun {
  repeat: number;
  cell: Cell;
  server: ServerName;
}

/** Numbers from 0 up to 1, the same ones for the same seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A shuffled copy (Fisher-Yates). */
export function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random() * (i + 1));
    // Both indices are within the array.
    [copy[i], copy[j]] = [copy[j] as T, copy[i] as T];
  }
  return copy;
}

/** Every server in every cell, `repeat` times. */
export function plan(
  repeat: number,
  cells: readonly Cell[],
  servers: readonly ServerName[],
  seed: number,
): PlannedRun[] {
  const random = seededRandom(seed);
  const runs: PlannedRun[] = [];
  for (let round = 1; round <= repeat; round++) {
    for (const cell of shuffled(cells, random)) {
      for (const server of shuffled(servers, random)) runs.push({ repeat: round, cell, server });
    }
  }
  return runs;
}
