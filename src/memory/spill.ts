/**
 * Spills: the unsent rest of an echo whose peer does not read, at most one buffer per connection.
 *
 * They belong to no thread, so that any holder of the run slot can go on sending. Free buffers form a list, the one given
 * back last at its head, so that as few as possible ever become resident. Only the holder of a connection's item, and
 * main once it has ended, touches its spill words and bytes.
 *
 * Near the limit (`areScarce`) workers receive no more than a socket is sure to take, so that no buffer is needed; a few
 * buffers beyond the limit serve those that need one all the same, until main has ended a connection that holds one
 * (src/server/spill-eviction.ts).
 *
 * The head of the list is one word of 64 bits: the first buffer, and how often it has changed. Else:
 *
 *   worker A takes a buffer                  workers B and C
 *   ------------------------------------     ------------------------------------
 *   head = 1, next of 1 = 2
 *                                            B takes 1, C takes 2, B gives 1 back
 *   CAS head: 1 -> 2, and 2 has two owners
 *
 * A worker that dies must leave a buffer in the list or with its connection: between the change of the head and that of
 * the connection's word stand no calls and no loop (run-slot.ts says why that is enough).
 */
import {
  BUFFER_BYTES,
  type SharedState,
  SPILL,
  SPILL_END,
  SPILL_FREE,
  SPILL_NEXT,
  SPILL_OWNER,
  SPILL_SINCE_MS,
  SPILL_START,
  SPILLS_USED,
} from './layout.ts';

/** From this part of the limit on buffers are scarce. */
const SCARCE_FROM = 3 / 4;
/** What a connection's SPILL word says when it waits for room to send and has nothing to send yet. */
const AWAITS_ROOM = -1;

const LOW_WORD = 0xffff_ffffn;
const ONE_CHANGE = 1n << 32n;

/** The word after a change: another first buffer (its number from 1, 0 = none), and one change more. */
function changed(head: bigint, first: number): bigint {
  return BigInt.asIntN(64, (head & ~LOW_WORD) + ONE_CHANGE + BigInt(first));
}

export function hasSpill(shared: SharedState, fd: number): boolean {
  return (shared.conns[shared.connWord(fd, SPILL)] as number) > 0;
}

/** Whether it waits until its socket takes bytes, instead of receiving. */
export function awaitsRoom(shared: SharedState, fd: number): boolean {
  return shared.conns[shared.connWord(fd, SPILL)] !== 0;
}

/** For a connection without a spill: whether it waits until its socket takes bytes. */
export function setAwaitsRoom(shared: SharedState, fd: number, awaits: boolean): void {
  shared.conns[shared.connWord(fd, SPILL)] = awaits ? AWAITS_ROOM : 0;
}

/** Whether buffers are scarce: no connection may count on one. */
export function areScarce(shared: SharedState): boolean {
  return Atomics.load(shared.words, SPILLS_USED) >= shared.config.spills * SCARCE_FROM;
}

/** Buffers in use beyond the limit. */
export function excessSpills(shared: SharedState): number {
  return Math.max(0, Atomics.load(shared.words, SPILLS_USED) - shared.config.spills);
}

/** Keeps a copy of `rest` (1..BUFFER_BYTES bytes) for the connection. False when every buffer is in use. */
export function keepSpill(shared: SharedState, fd: number, rest: Uint8Array, nowMs: number): boolean {
  const { spillFree, spillWords, spillDoubles, conns, words } = shared;
  const spill = shared.connWord(fd, SPILL);
  for (;;) {
    const head = Atomics.load(spillFree, SPILL_FREE);
    const number = Number(head & LOW_WORD);
    if (number === 0) return false;
    const next = spillWords[shared.spillWord(number, SPILL_NEXT)] as number;
    const after = changed(head, next);
    const owner = shared.spillWord(number, SPILL_OWNER);
    const since = shared.spillDouble(number, SPILL_SINCE_MS);
    if (Atomics.compareExchange(spillFree, SPILL_FREE, head, after) !== head) continue;
    spillWords[owner] = fd;
    spillDoubles[since] = nowMs;
    conns[spill] = number; // last: spillHolders() goes by it
    Atomics.add(words, SPILLS_USED, 1);
    break;
  }
  const number = conns[spill];
  conns[shared.connWord(fd, SPILL_START)] = 0;
  conns[shared.connWord(fd, SPILL_END)] = rest.length;
  shared.spillBytes.set(rest, (number - 1) * BUFFER_BYTES);
  return true;
}

/** The bytes still to be sent. The connection must have a spill. */
export function spillRest(shared: SharedState, fd: number): Uint8Array {
  const { conns } = shared;
  const base = ((conns[shared.connWord(fd, SPILL)] as number) - 1) * BUFFER_BYTES;
  return shared.spillBytes.subarray(
    base + (conns[shared.connWord(fd, SPILL_START)] as number),
    base + (conns[shared.connWord(fd, SPILL_END)] as number),
  );
}

/** Notes that `sent` bytes of the rest went out. True when none is left; the buffer is then given back. */
export function consumeSpill(shared: SharedState, fd: number, sent: number): boolean {
  const { conns } = shared;
  const start = (conns[shared.connWord(fd, SPILL_START)] as number) + sent;
  conns[shared.connWord(fd, SPILL_START)] = start;
  if (start < (conns[shared.connWord(fd, SPILL_END)] as number)) return false;
  dropSpill(shared, fd);
  return true;
}

/** Gives the buffer back, if there is one. Called by main when it closes the descriptor. */
export function dropSpill(shared: SharedState, fd: number): void {
  if (!hasSpill(shared, fd)) return;
  const { spillFree, spillWords, conns, words } = shared;
  const spill = shared.connWord(fd, SPILL);
  const number = conns[spill] as number;
  for (;;) {
    const head = Atomics.load(spillFree, SPILL_FREE);
    spillWords[shared.spillWord(number, SPILL_NEXT)] = Number(head & LOW_WORD);
    if (Atomics.compareExchange(spillFree, SPILL_FREE, head, changed(head, number)) !== head) continue;
    conns[spill] = 0;
    Atomics.sub(words, SPILLS_USED, 1);
    return;
  }
}

/** A connection that holds a buffer, and since when, in milliseconds of the monotonic clock. */
export interface SpillHolder {
  fd: number;
  sinceMs: number;
}

/** Main: who holds buffers now. O(buffers). */
export function spillHolders(shared: SharedState): SpillHolder[] {
  const holders: SpillHolder[] = [];
  for (let number = 1; number <= shared.spillBuffers; number++) {
    const fd = shared.spillWords[shared.spillWord(number, SPILL_OWNER)] as number;
    // Never cleared: the connection's word has the truth.
    if (fd === 0 || shared.conns[shared.connWord(fd, SPILL)] !== number) continue;
    holders.push({ fd, sinceMs: shared.spillDoubles[shared.spillDouble(number, SPILL_SINCE_MS)] as number });
  }
  return holders;
}
