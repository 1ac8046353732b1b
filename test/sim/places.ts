/**
 * Where the open connections are while nothing runs: each in one worklist, that of the CPU pool which counts it, or only in
 * an item of that pool, or handed back by a worker that has died before it rang.
 */
import type { Sim } from '../../bench/sim/sim.ts';
import { CONNECTIONS, DONE_HEAD, NEXT, type SharedState } from '../../src/memory/layout.ts';

/** What is wrong, null = nothing. `itemIn` returns the CPU pool in which a connection has an item, null = none. */
export function misplaced(sim: Sim, itemIn: (fd: number) => number | null): string | null {
  const { main, worklists, shared } = sim;
  const counts = new Array<number>(shared.config.cpus).fill(0);
  for (const fd of main.fds) {
    const pool = main.poolOf(fd);
    const listed = worklists.poolOf[fd] as number;
    const places = [listed === 0 ? null : listed - 1, itemIn(fd)].filter((place) => place !== null);
    if (places.length === 0 && !isHandedBack(shared, fd))
      return `connection ${fd} is in no worklist and no item`;
    const other = places.find((place) => place !== pool);
    if (other !== undefined) return `connection ${fd} is in pool ${other}, not ${pool}`;
    counts[pool] = (counts[pool] as number) + 1; // a pool of this server
  }
  const pool = counts.findIndex((count, i) => count !== shared.words[shared.poolWord(i, CONNECTIONS)]);
  return pool === -1 ? null : `pool ${pool} does not count its ${counts[pool]} connections`;
}

function isHandedBack(shared: SharedState, fd: number): boolean {
  let next = shared.words[DONE_HEAD] as number;
  while (next !== 0 && next !== fd) next = shared.conns[shared.connWord(next, NEXT)] as number;
  return next === fd;
}
