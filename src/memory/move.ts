/**
 * Moving a connection from CPU pool p to q. The worker in the connection's item does it, as the item ends, so that it
 * ends the item in p but adds the connection to the worklist of q:
 *
 *   worker A, in item fd of pool p           worker B, on duty for pool q
 *   ------------------------------------     ------------------------------------
 *   epoll DEL fd from p
 *   ends the item in p, with the slot or not
 *   CONNECTIONS[q]++; fd.POOL = q; CONNECTIONS[p]--
 *   epoll ADD fd to q
 *                                            CAS B -> B|fd; B.ITEM_FD = fd
 *   A.ITEM_FD = 0; kicks q                   (may move fd to another pool)
 *
 * DEL comes first: once the slot of p no longer names fd, another holder of p could take an event of fd. From DEL to ADD
 * no worklist has fd, so no thread can begin its item. After ADD the connection is not A's any more.
 *
 * The counts change between the two: NR_UNSLOTTED <= CONNECTIONS in p, where the item has ended before, and in q, where
 * it cannot have begun. Until then p seems to have a connection more, so a worker of p may wait in vain, as usual.
 * ADD and kick come after CONNECTIONS[q]++, so no wake-up is lost (kick.ts).
 *
 *   worker A                                 monitor: has seen A asleep
 *   ------------------------------------     ------------------------------------
 *   epoll DEL fd from p                      CAS A|fd -> monitor|fd
 *   CAS A|fd -> A fails                      epoll DEL fd from p (one of the two finds nothing)
 *   waits while slot p = monitor|fd          NR_UNSLOTTED[p]++; A.state = Noticed; slot = free
 *   NR_UNSLOTTED[p]--; the counts; ADD to q
 *
 * If A dies, POOL names the pool that counts fd. In no worklist and no item, it is lost with A; else it had been moved,
 * and main kicks q. Whether it is there main cannot see at once, so POOL also counts how often fd has been put into a
 * worklist:
 *
 *   main: A has died with ITEM_FD = fd       B
 *   ------------------------------------     ------------------------------------
 *   POOL: q; no item of fd
 *                                            begins fd; epoll DEL
 *   fd not in worklist q
 *                                            POOL: q or another pool, put in once more; epoll ADD; ends
 *   no item of fd
 *   POOL has changed: looks again
 *
 * Main reads POOL to release a connection that a worker has handed back; then no thread moves it.
 */
import { CONNECTIONS, MOVED_IN, MOVED_OUT, POOL, type SharedState } from './layout.ts';

const POOL_BITS = 16;
const POOL_MASK = (1 << POOL_BITS) - 1;
const PUT_IN_ONCE = 1 << POOL_BITS;

/** POOL: the CPU pool of a connection, and how often workers have put it into a worklist (modulo 2^16). */
export function placeOf(shared: SharedState, fd: number): number {
  return Atomics.load(shared.conns, shared.connWord(fd, POOL));
}

export function poolInPlace(place: number): number {
  return place & POOL_MASK;
}

/** Main: counts a connection in its first CPU pool, before a worker can begin its item. */
export function countPlaced(shared: SharedState, fd: number, pool: number): void {
  Atomics.store(shared.conns, shared.connWord(fd, POOL), pool);
  Atomics.add(shared.words, shared.poolWord(pool, CONNECTIONS), 1);
}

/** Main: the connection is no longer in a CPU pool. */
export function countRemoved(shared: SharedState, fd: number): void {
  const pool = poolInPlace(placeOf(shared, fd));
  Atomics.sub(shared.words, shared.poolWord(pool, CONNECTIONS), 1);
}

/** A worker that has taken the connection out of its worklist, before it puts it back. */
export function countReturned(shared: SharedState, fd: number): void {
  Atomics.add(shared.conns, shared.connWord(fd, POOL), PUT_IN_ONCE);
}

/** A, after its item of fd in `from` and before the ADD: counts the connection in `to`. */
export function countMoved(shared: SharedState, fd: number, from: number, to: number): void {
  const { words, conns } = shared;
  const place = shared.connWord(fd, POOL);
  const next = ((placeOf(shared, fd) & ~POOL_MASK) + PUT_IN_ONCE) | to;
  const connectionsThere = shared.poolWord(to, CONNECTIONS);
  const connectionsHere = shared.poolWord(from, CONNECTIONS);
  const movedIn = shared.poolWord(to, MOVED_IN);
  const movedOut = shared.poolWord(from, MOVED_OUT);
  Atomics.add(words, connectionsThere, 1);
  Atomics.store(conns, place, next);
  Atomics.sub(words, connectionsHere, 1);
  Atomics.add(words, movedIn, 1);
  Atomics.add(words, movedOut, 1);
}
