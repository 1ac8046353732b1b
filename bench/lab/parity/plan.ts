/**
 * The order of the runs. Pure: the same seed gives the same order.
 *
 * Runs of one repeat and one cell are neighbours, in a shuffled order of servers: they are the pairs that are compared,
 * and slow changes of the machine (heat, other load) affect both alike.
 */
import { seededRandom, shuffled } from '../../random.ts';
import type { Cell, ServerName } from './cells.ts';

export interface PlannedRun {
  repeat: number;
  cell: Cell;
  server: ServerName;
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
