/**
 * Ending a worker's thread in an item that hangs, and never in the next one, although main decides by what it saw a
 * moment ago, and a thread that it terminates runs on for a moment.
 *
 *   worker                                   main
 *   ------------------------------------     ------------------------------------
 *   ITEM_FD = 0: the item has ended          ENDING = 1
 *   ENDING = 1? waits while it is            looks again: the same item? terminates the thread
 *   STARTED++, ITEM_FD = the next one        else ENDING = 0: the worker goes on
 *
 * Both write first and look afterwards, so at least one of them sees the other: the worker waits until main has
 * decided, or main sees that the item is over. A worker that waits is let go, or ended between two items, which costs
 * no connection.
 */
import { ENDING, ITEM_FD, type SharedState, STARTED } from './layout.ts';

/**
 * Main: whether the worker still is in this item, its `started`-th, and will begin no other: then its thread is to be
 * terminated.
 */
export function mayEnd(shared: SharedState, id: number, started: number): boolean {
  const { words, doubles } = shared;
  const ending = shared.workerWord(id, ENDING);
  Atomics.store(words, ending, 1);
  // ITEM_FD first: a thread that sees the next item there sees STARTED counted as well.
  const inItem = Atomics.load(words, shared.workerWord(id, ITEM_FD)) !== 0;
  if (inItem && doubles[shared.workerDouble(id, STARTED)] === started) return true;
  Atomics.store(words, ending, 0);
  Atomics.notify(words, ending);
  return false;
}

/** A worker whose item has ended: returns when it may begin another one. */
export function waitWhileEnding(shared: SharedState, id: number): void {
  const ending = shared.workerWord(id, ENDING);
  while (Atomics.load(shared.words, ending) === 1) waitSlice(shared.words, ending);
}

/** In slices, and a function of its own, so that a thread that is terminated ends: see epollWait. */
function waitSlice(words: Int32Array<SharedArrayBuffer>, index: number): void {
  Atomics.wait(words, index, 1, 1000);
}
