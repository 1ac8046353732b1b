/**
 * Spills: the unsent rest of an echo whose peer does not read, at most one buffer per connection.
 *
 * No thread owns them, so that any holder of the run slot can continue sending. The free list is last in, first out, to
 * keep few buffers resident. Only the holder of a connection's item, and main after the item has ended, accesses its
 * spill words and bytes.
 *
 * Near the limit (`areScarce`) workers receive no more than the socket is sure to accept, so that no buffer is needed.
 * A few reserve buffers beyond the limit serve connections that still need one, until main has closed a connection
 * that holds one (src/server/spill-eviction.ts).
 *
 * The head of the list is one 64-bit word, the first buffer and a change count, against the ABA problem:
 *
 *   worker A takes a buffer                  workers B and C
 *   ------------------------------------     ------------------------------------
 *   head = 1, next of 1 = 2
 *                                            B takes 1, C takes 2, B gives 1 back
 *   CAS head: 1 -> 2, and 2 has two owners
 *
 * A dying worker must leave each buffer in the list or with its connection, so no call and no loop comes between the
 * change of the head and that of the connection's word (see run-slot.ts).
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

/** Buffers are scarce from this fraction of the limit. */
const SCARCE_FROM = 3 / 4;
/** SPILL word of a connection that waits for room to send, but has no unsent bytes. */
const AWAITS_ROOM = -1;

const LOW_WORD = 0xffff_ffffn;
const ONE_CHANGE = 1n << 32n;

/** The head with another first buffer (its number from 1, 0 = none), counted as a change. */
function changed(head: bigint, first: number): bigint {
  return BigInt.asIntN(64, (head & ~LOW_WORD) + ONE_CHANGE + BigInt(first));
}

export function hasSpill(shared: SharedState, fd: number): boolean {
  return (shared.conns[shared.connWord(fd, SPILL)] as number) > 0;
}

/** Whether the connection waits until its socket is writable, instead of receiving. */
export function awaitsRoom(shared: SharedState, fd: number): boolean {
  return shared.conns[shared.connWord(fd, SPILL)] !== 0;
}

/** For a connection without a spill: sets whether it waits until its socket is writable. */
export function setAwaitsRoom(shared: SharedState, fd: number, awaits: boolean): void {
  shared.conns[shared.connWord(fd, SPILL)] = awaits ? AWAITS_ROOM : 0;
}

/** Whether workers must avoid needing a buffer. */
export function areScarce(shared: SharedState): boolean {
  return Atomics.load(shared.words, SPILLS_USED) >= shared.config.spills * SCARCE_FROM;
}

/** Buffers in use beyond the limit. */
export function excessSpills(shared: SharedState): number {
  return Math.max(0, Atomics.load(shared.words, SPILLS_USED) - shared.config.spills);
}

/** Copies `rest` (1..BUFFER_BYTES bytes) into a buffer for the connection. False when all buffers are in use. */
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
    conns[spill] = number; // last: spillHolders() relies on it
    Atomics.add(words, SPILLS_USED, 1);
    break;
  }
  const number = conns[spill];
  conns[shared.connWord(fd, SPILL_START)] = 0;
  conns[shared.connWord(fd, SPILL_END)] = rest.length;
  shared.spillBytes.set(rest, (number - 1) * BUFFER_BYTES);
  return true;
}

/** The unsent bytes. The connection must have a spill. */
export function spillRest(shared: SharedState, fd: number): Uint8Array {
  const { conns } = shared;
  const base = ((conns[shared.connWord(fd, SPILL)] as number) - 1) * BUFFER_BYTES;
  return shared.spillBytes.subarray(
    base + (conns[shared.connWord(fd, SPILL_START)] as number),
    base + (conns[shared.connWord(fd, SPILL_END)] as number),
  );
}

/** Removes `sent` bytes from the rest. True when none is left; the buffer is then free. */
export function consumeSpill(shared: SharedState, fd: number, sent: number): boolean {
  const { conns } = shared;
  const start = (conns[shared.connWord(fd, SPILL_START)] as number) + sent;
  conns[shared.connWord(fd, SPILL_START)] = start;
  if (start < (conns[shared.connWord(fd, SPILL_END)] as number)) return false;
  dropSpill(shared, fd);
  return true;
}

/** Frees the connection's buffer, if it has one. Main calls it before closing the descriptor. */
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

export interface SpillHolder {
  fd: number;
  /** By the monotonic clock. */
  sinceMs: number;
}

/** Main: the connections that hold buffers. O(buffers). */
export function spillHolders(shared: SharedState): SpillHolder[] {
  const holders: SpillHolder[] = [];
  for (let number = 1; number <= shared.spillBuffers; number++) {
    const fd = shared.spillWords[shared.spillWord(number, SPILL_OWNER)] as number;
    // SPILL_OWNER is never cleared; the connection's word decides.
    if (fd === 0 || shared.conns[shared.connWord(fd, SPILL)] !== number) continue;
    holders.push({ fd, sinceMs: shared.spillDoubles[shared.spillDouble(number, SPILL_SINCE_MS)] as number });
  }
  return holders;
}
