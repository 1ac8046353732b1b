/**
 * The bytes of all conversations: a seeded random ring that each enters at a different place.
 *
 * Byte n of a conversation is byte (start + n) of the ring, so a stale or shifted echo, or one of another connection,
 * differs from the expected one. Nothing is copied: messages are views of the ring, and echoes are compared in place.
 */

/** Prime, so that no buffer size divides it: bytes shifted by whole buffers differ. */
const RING_BYTES = 1_000_003;
/** Maximum bytes sent or compared at once. */
export const PIECE_BYTES = 64 * 1024;

export class Ring {
  /** The ring, then a copy of its beginning, so that a piece never wraps. */
  private readonly bytes = Buffer.allocUnsafeSlow(RING_BYTES + PIECE_BYTES);

  constructor(random: () => number) {
    for (let i = 0; i < RING_BYTES; i++) this.bytes[i] = Math.floor(random() * 256);
    this.bytes.copy(this.bytes, RING_BYTES, 0, PIECE_BYTES);
  }

  /** A random position where a conversation enters. */
  start(random: () => number): number {
    return Math.floor(random() * RING_BYTES);
  }

  /** A view of `length` bytes, at most PIECE_BYTES, from `position` on. */
  piece(position: number, length: number): Buffer {
    const at = position % RING_BYTES;
    return this.bytes.subarray(at, at + length);
  }

  /** Whether the first `length` bytes of `received` are those from `position` on. */
  matches(received: Buffer, length: number, position: number): boolean {
    const at = position % RING_BYTES;
    return received.compare(this.bytes, at, at + length, 0, length) === 0;
  }
}
