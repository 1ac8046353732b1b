/**
 * One checked connection of the load process.
 *
 * It owns its socket until the socket is closed. Every received byte is compared at once with the expected one; a wrong
 * or surplus byte ends the conversation. At most one wait is pending at a time.
 */
import { connect, type Socket } from 'node:net';
import { LOOPBACK } from '../../../src/sys/loopback.ts';
import { onConnect } from '../../../src/sys/self-connect.ts';
import { PIECE_BYTES, type Ring } from './ring.ts';
import type { LoadCounts } from './types.ts';

/** Why a conversation failed: the name of its counter. */
export type Fault = 'lost' | 'wrong' | 'cutShort' | 'refused' | 'stalled' | 'portsTaken';

export class ConversationError extends Error {
  override readonly name = 'ConversationError';
  readonly fault: Fault;

  constructor(fault: Fault, message: string) {
    super(message);
    this.fault = fault;
  }
}

/** All sockets read into this one: each piece is compared before the next read. */
const received = Buffer.allocUnsafeSlow(PIECE_BYTES);

/** 127.0.0.1 to .250: a closed connection keeps its port for a minute, so one address would run out of ports. */
const SOURCES = 250;
let source = 0;

function nextSource(): string {
  source = (source % SOURCES) + 1;
  return `127.0.0.${source}`;
}

interface Wait {
  condition: () => boolean;
  resolve: () => void;
  reject: (error: Error) => void;
}

export class Conversation {
  /** Time of the last activity, performance.now(). */
  activeAtMs = performance.now();
  private readonly socket: Socket;
  private readonly ring: Ring;
  private readonly start: number;
  private readonly counts: LoadCounts;
  private sent = 0;
  private received = 0;
  private isOpen = false;
  private hasEnded = false;
  private peerEnded = false;
  private isClosed = false;
  private failure: ConversationError | null = null;
  private wait: Wait | null = null;

  constructor(port: number, ring: Ring, start: number, counts: LoadCounts) {
    this.ring = ring;
    this.start = start;
    this.counts = counts;
    this.socket = connect({
      port,
      host: LOOPBACK,
      localAddress: nextSource(),
      allowHalfOpen: true,
      noDelay: true,
      onread: {
        buffer: received,
        callback: (length) => {
          this.take(length);
          return true;
        },
      },
    });
    onConnect(this.socket, () => this.connected());
    this.socket.on('end', () => this.ended());
    this.socket.on('error', (error: NodeJS.ErrnoException) => this.broke(error));
    this.socket.on('close', () => this.closed());
  }

  /** Sends the next `length` bytes of the ring. */
  send(length: number): void {
    this.activeAtMs = performance.now();
    for (let left = length; left > 0; ) {
      const size = Math.min(left, PIECE_BYTES);
      this.socket.write(this.ring.piece(this.start + this.sent, size));
      this.sent += size;
      left -= size;
    }
  }

  /** Resolves when everything sent has been echoed. */
  allEchoed(): Promise<void> {
    return this.until(() => this.received === this.sent);
  }

  /** From now on, leaves received bytes in the kernel's buffers. */
  stopReading(): void {
    this.socket.pause();
  }

  resumeReading(): void {
    this.activeAtMs = performance.now();
    this.socket.resume();
  }

  /** Sends the FIN, and resolves when the rest of the echo and the server's FIN are read and the socket is closed. */
  async finish(): Promise<void> {
    this.hasEnded = true;
    this.activeAtMs = performance.now();
    this.socket.end();
    await this.until(() => this.isClosed && this.peerEnded);
  }

  /** Resets the connection, and resolves when the socket is closed. */
  async reset(): Promise<void> {
    this.socket.resetAndDestroy();
    await this.until(() => this.isClosed);
  }

  /** Gives up: closes the socket and makes every wait fail. The first reason is kept. */
  fail(fault: Fault, message: string): void {
    this.failure ??= new ConversationError(fault, message);
    this.socket.destroy();
    this.look();
  }

  private until(condition: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      this.wait = { condition, resolve, reject };
      this.look();
    });
  }

  private look(): void {
    const { wait } = this;
    if (wait === null) return;
    if (this.failure !== null) wait.reject(this.failure);
    else if (wait.condition()) wait.resolve();
    else return;
    this.wait = null;
  }

  private connected(): void {
    this.isOpen = true;
    this.counts.opened++;
    this.activeAtMs = performance.now();
  }

  private take(length: number): void {
    const { received: at, sent } = this;
    if (this.failure !== null) return;
    if (at + length > sent || !this.ring.matches(received, length, this.start + at)) {
      this.fail('wrong', `a wrong byte in ${length} bytes at offset ${at} of ${sent}`);
      return;
    }
    this.received += length;
    this.counts.bytes += length;
    this.activeAtMs = performance.now();
    this.look();
  }

  private ended(): void {
    this.peerEnded = true;
    if (this.hasEnded && this.received === this.sent) return;
    this.fail('cutShort', `the server ended after ${this.received} of ${this.sent} bytes`);
  }

  private broke({ code }: NodeJS.ErrnoException): void {
    const ports = code === 'EADDRINUSE' || code === 'EADDRNOTAVAIL';
    const fault = this.isOpen ? 'lost' : ports ? 'portsTaken' : 'refused';
    this.fail(fault, `${code} after ${this.received} of ${this.sent} bytes`);
  }

  private closed(): void {
    this.isClosed = true;
    if (this.isOpen) this.counts.over++;
    this.look();
  }
}
