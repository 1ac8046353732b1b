/**
 * Spills: the unsent rest of an echo whose peer does not read, at most one buffer per connection.
 *
 * They belong to no thread, so that any holder of the run slot can go on sending. A buffer is owned by the
 * descriptor in its owner word; taking one is a compare-and-swap on that word, giving it back a store. Only
 * whoever holds the connection's item touches its spill words and bytes.
 */
import { BUFFER_BYTES, type SharedState, SPILL, SPILL_END, SPILL_START, SPILLS_USED } from './layout.ts';

export function hasSpill(shared: SharedState, fd: number): boolean {
  return shared.conns[shared.connWord(fd, SPILL)] !== 0;
}

/**
 * Keeps a copy of `rest` (1..BUFFER_BYTES bytes) for the connection. False when every buffer is in use.
 * The search is linear and begins at the first, so that as few buffers as possible ever become resident.
 */
export function keepSpill(shared: SharedState, fd: number, rest: Uint8Array): boolean {
  const { spillOwners, conns } = shared;
  const { words } = shared;
  const count = shared.config.spills;
  const spill = shared.connWord(fd, SPILL);
  const end = shared.connWord(fd, SPILL_END);
  conns[shared.connWord(fd, SPILL_START)] = 0;
  for (let index = 0; index < count; index++) {
    if (Atomics.compareExchange(spillOwners, index, 0, fd) !== 0) continue;
    // No call between these: a worker that dies must leave the buffer free or its connection's (run-slot.ts).
    conns[spill] = index + 1;
    Atomics.add(words, SPILLS_USED, 1);
    conns[end] = rest.length;
    shared.spillBytes.set(rest, index * BUFFER_BYTES);
    return true;
  }
  return false;
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
  const index = (shared.conns[shared.connWord(fd, SPILL)] as number) - 1;
  if (index < 0) return;
  shared.conns[shared.connWord(fd, SPILL)] = 0;
  Atomics.sub(shared.words, SPILLS_USED, 1);
  Atomics.store(shared.spillOwners, index, 0);
}
