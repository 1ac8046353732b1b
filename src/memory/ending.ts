/**
 * Terminating a worker's thread in the item that hangs, never in the next one, although main acts on stale reads and a
 * terminated thread runs for another moment.
 *
 *   worker                                   main
 *   ------------------------------------     ------------------------------------
 *   ITEM_FD = 0: the item has ended          ENDING = 1
 *   waits while ENDING = 1                   still the same item? terminates the thread
 *   STARTED++, ITEM_FD = the next one        else ENDING = 0: the worker continues
 *
 * Both write before they read, so at least one of them sees the other: the worker waits until main has decided, or main
 * sees that the item has ended. A waiting worker continues, or is terminated between two items, which costs no
 * connection.
 */
import { ENDING, ITEM_FD, type SharedState, STARTED } from './layout.ts';

/** Main: whether the worker is still in its `started`-th item and begins no other; if so, main must terminate it. */
export function mayTerminate(shared: SharedState, id: number, started: number): boolean {
  const { words, doubles } = shared;
  const ending = shared.workerWord(id, ENDING);
  Atomics.store(words, ending, 1);
  // ITEM_FD first: a thread that reads the next item there reads the new STARTED as well.
  const inItem = Atomics.load(words, shared.workerWord(id, ITEM_FD)) !== 0;
  if (inItem && doubles[shared.workerDouble(id, STARTED)] === started) return true;
  Atomics.store(words, ending, 0);
  Atomics.notify(words, ending);
  return false;
}

/** Worker, between items: returns when it may begin another one. */
export function waitWhileEnding(shared: SharedState, id: number): void {
  const ending = shared.workerWord(id, ENDING);
  while (Atomics.load(shared.words, ending) === 1) waitSlice(shared.words, ending);
}

/** In slices, and in a separate function, so that V8 can terminate the thread: see epollWait. */
function waitSlice(words: Int32Array<SharedArrayBuffer>, index: number): void {
  Atomics.wait(words, index, 1, 1000);
}
