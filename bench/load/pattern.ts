/**
 * What is sent, and whether it came back.
 *
 * All messages are windows of one random ring, each request at another offset: no two of the latest
 * PATTERNS requests carry the same bytes, on whatever connection, so a stale, swapped or shifted answer
 * differs from the one that is due. (Messages of one or two bytes have too few values for that.)
 *
 * Nothing is allocated per request: the windows are made once, and an answer is compared in place as its
 * parts arrive, so a connection needs no buffer of its own.
 */
import { randomFillSync } from 'node:crypto';

/** Distinct messages. A power of two; the ring stays small enough for a core's cache. */
export const PATTERNS = 8192;

// Odd, so that stepping by it visits every offset once before any comes again; large, so that two
// requests in a row do not carry the same bytes shifted by one.
const STEP = 1021;

export class Pattern {
  readonly messageBytes: number;
  private readonly ring: Buffer;
  private readonly messages: readonly Buffer[];
  private offset = 0;

  constructor(messageBytes: number) {
    this.messageBytes = messageBytes;
    this.ring = randomFillSync(Buffer.allocUnsafeSlow(PATTERNS + messageBytes));
    this.messages = Array.from({ length: PATTERNS }, (_, i) => this.ring.subarray(i, i + messageBytes));
  }

  /** The offset that names the next message. */
  next(): number {
    this.offset = (this.offset + STEP) & (PATTERNS - 1);
    return this.offset;
  }

  /** What of the message at `offset` is unsent after `sent` bytes. */
  unsent(offset: number, sent: number): Buffer {
    // The offset is one of next()'s, so there is a message.
    if (sent === 0) return this.messages[offset] as Buffer;
    return this.ring.subarray(offset + sent, offset + this.messageBytes);
  }

  /** Whether the first `length` bytes of `received` are those of the message from byte `at` on. */
  matches(received: Buffer, length: number, offset: number, at: number): boolean {
    if (at + length > this.messageBytes) return false;
    return received.compare(this.ring, offset + at, offset + at + length, 0, length) === 0;
  }
}
