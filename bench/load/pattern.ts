/**
 * The messages, and the check of their echoes.
 *
 * All messages are windows of one random ring, each request at another offset: no two of the latest 1,024 requests
 * (or twice the clients, if more) on any connections carry the same bytes, so a stale, swapped or shifted echo is
 * detected. Messages of one or two bytes have too few values for that.
 *
 * Nothing is allocated or copied per request: the windows are created once, and an echo is compared in place as it
 * arrives, so connections need no buffers. There are no more windows than needed, so that their objects, which
 * send touches, stay in a core's cache.
 */

const MESSAGES_MIN = 1024;
/** Clients are at most half of this. */
export const MESSAGES_MAX = 16384;
// Windows are word-aligned, to be compared word by word.
const STRIDE_BYTES = 8;
// Longer echoes are compared by memcmp, which costs a call but is faster per byte.
const WORDS_MAX = 64;

/** Fills `bytes` from a seed (xorshift32). */
function fill(bytes: Buffer, seed: number): void {
  let state = (seed ^ 0x9e3779b9) | 1; // not 0, from which xorshift never leaves
  for (let i = 0; i < bytes.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[i] = state >>> 24;
  }
}

/** The receive buffer, as bytes and as words. */
export class Received {
  readonly bytes: Buffer;
  readonly words: Int32Array;

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafeSlow(length);
    this.words = new Int32Array(this.bytes.buffer, this.bytes.byteOffset, length >> 2);
  }
}

export class Pattern {
  readonly messageBytes: number;
  private readonly ring: Buffer;
  private readonly words: Int32Array;
  private readonly messages: readonly Buffer[];
  private readonly mask: number;
  private readonly step: number;
  private turn = 0;

  constructor(messageBytes: number, clients: number, seed: number, firstByte: number | null = null) {
    const count = Math.max(MESSAGES_MIN, 2 ** Math.ceil(Math.log2(2 * clients)));
    this.messageBytes = messageBytes;
    this.mask = count - 1;
    // Odd, hence coprime to the power of two `count`: every window is used once per round. Large, so that
    // consecutive requests do not overlap.
    this.step = Math.floor(count * 0.618) | 1;
    const bytes = count * STRIDE_BYTES + Math.ceil(messageBytes / STRIDE_BYTES) * STRIDE_BYTES;
    this.ring = Buffer.allocUnsafeSlow(bytes);
    fill(this.ring, seed);
    if (firstByte !== null) for (let at = 0; at < bytes; at += STRIDE_BYTES) this.ring[at] = firstByte;
    this.words = new Int32Array(this.ring.buffer, this.ring.byteOffset, bytes >> 2);
    this.messages = Array.from({ length: count }, (_, i) =>
      this.ring.subarray(i * STRIDE_BYTES, i * STRIDE_BYTES + messageBytes),
    );
  }

  /** The offset of the next message. */
  next(): number {
    this.turn = (this.turn + this.step) & this.mask;
    return this.turn * STRIDE_BYTES;
  }

  /** The rest of the message at `offset` after `sent` bytes. */
  unsent(offset: number, sent: number): Buffer {
    // `offset` came from next(), so the message exists.
    if (sent === 0) return this.messages[offset / STRIDE_BYTES] as Buffer;
    return this.ring.subarray(offset + sent, offset + this.messageBytes);
  }

  /** Whether the first `length` received bytes equal the message at `offset` from byte `at` on. */
  matches(received: Received, length: number, offset: number, at: number): boolean {
    if (at + length > this.messageBytes) return false;
    const wholeWords = ((at | length) & 3) === 0 && length <= WORDS_MAX * 4;
    if (wholeWords) return this.sameWords(received.words, length >> 2, (offset + at) >> 2);
    return received.bytes.compare(this.ring, offset + at, offset + at + length, 0, length) === 0;
  }

  private sameWords(received: Int32Array, count: number, from: number): boolean {
    const { words } = this;
    for (let i = 0; i < count; i++) if (received[i] !== words[from + i]) return false;
    return true;
  }
}
