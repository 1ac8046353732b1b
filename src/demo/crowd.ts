/**
 * The clients of the demo: each connects, sends a few requests, closes, pauses and connects again.
 *
 * Main thread, beside the server: about forty small messages a second do not disturb it. Owns its sockets and timers
 * until close(). At most MAX_CLIENTS at a time, loopback only.
 */
import { connect, type Socket } from 'node:net';
import { monotonicMs } from '../sys/clock.ts';
import { LOOPBACK } from '../sys/loopback.ts';
import { onConnect } from '../sys/self-connect.ts';

export const MAX_CLIENTS = 64;
export const ANSWERS_PER_VISIT = 5;
export const BETWEEN_ANSWERS_MS = 200;
export const BETWEEN_VISITS_MS = 2000;
/** Pause after a failed visit. */
const AFTER_FAILURE_MS = 1000;
const REQUEST = Buffer.from('a request of the demo, to be echoed\n');

/** Resolves after `ms`, or when `signal` is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}

/** Resolves once `length` bytes have arrived, rejects when the connection ends before. */
function receive(socket: Socket, length: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let missing = length;
    const onData = (chunk: Buffer) => {
      missing -= chunk.length;
      if (missing <= 0) settle(resolve);
    };
    const onClose = () => settle(() => reject(new Error('the connection ended')));
    const settle = (how: () => void) => {
      socket.off('data', onData).off('close', onClose);
      how();
    };
    if (socket.destroyed) return onClose();
    socket.on('data', onData).on('close', onClose);
  });
}

/** Receives the clients' response times. */
export interface Timing {
  /** A response has arrived; the first of a visit counts from connect(). */
  answered(ms: number): void;
}

export class Crowd {
  private readonly port: number;
  private readonly timing: Timing;
  private readonly stopping = new AbortController();
  private readonly clients: Promise<void>[] = [];
  private readonly sockets = new Set<Socket>();
  /** Start of each request in progress, by client. */
  private readonly startedMs = new Map<number, number>();
  private wanted: number;
  private held = false;
  private changed = Promise.withResolvers<void>();

  constructor(port: number, clients: number, timing: Timing) {
    this.port = port;
    this.timing = timing;
    this.wanted = clients;
    for (let i = 0; i < MAX_CLIENTS; i++) this.clients.push(this.runClient(i));
  }

  /** Number of clients while the load is on. */
  get size(): number {
    return this.wanted;
  }

  set size(clients: number) {
    this.wanted = Math.max(1, Math.min(MAX_CLIENTS, clients));
    this.notify();
  }

  /** Age of the oldest request in progress; 0 without any. */
  get oldestMs(): number {
    const first = Math.min(...this.startedMs.values());
    return Number.isFinite(first) ? monotonicMs() - first : 0;
  }

  /** Stops new requests. Resolves when those in progress have ended or are cut after `timeoutMs`, or on release(). */
  async hold(timeoutMs: number): Promise<void> {
    this.held = true;
    this.notify();
    const deadlineMs = monotonicMs() + timeoutMs;
    while (this.held && this.sockets.size > 0) {
      if (this.isOver || monotonicMs() >= deadlineMs) {
        for (const socket of this.sockets) socket.destroy();
        return;
      }
      await pause(20, this.stopping.signal);
    }
  }

  release(): void {
    this.held = false;
    this.notify();
  }

  async close(): Promise<void> {
    this.stopping.abort();
    this.notify();
    for (const socket of this.sockets) socket.destroy();
    await Promise.all(this.clients);
  }

  private notify(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers();
  }

  private get isOver(): boolean {
    return this.stopping.signal.aborted;
  }

  private mustStop(index: number): boolean {
    return this.held || this.isOver || index >= this.wanted;
  }

  private async runClient(index: number): Promise<void> {
    const { signal } = this.stopping;
    // Spreads the first visits.
    await pause((index % 16) * (BETWEEN_VISITS_MS / 16), signal);
    while (!this.isOver) {
      if (this.mustStop(index)) {
        await this.changed.promise;
        continue;
      }
      const succeeded = await this.visit(index);
      await pause(succeeded ? BETWEEN_VISITS_MS : AFTER_FAILURE_MS, signal);
    }
  }

  /** Whether it succeeded. */
  private async visit(index: number): Promise<boolean> {
    let beganMs = monotonicMs();
    const socket = connect({ port: this.port, host: LOOPBACK, noDelay: true });
    onConnect(socket);
    socket.on('error', () => {}); // 'close' follows
    socket.resume(); // to receive the server's FIN too
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    this.sockets.add(socket);
    try {
      for (let turn = 1; ; turn++) {
        this.startedMs.set(index, beganMs);
        socket.write(REQUEST);
        await receive(socket, REQUEST.length);
        this.timing.answered(monotonicMs() - beganMs);
        this.startedMs.delete(index);
        if (turn === ANSWERS_PER_VISIT || this.mustStop(index)) break;
        await pause(BETWEEN_ANSWERS_MS, this.stopping.signal);
        if (this.mustStop(index)) break;
        beganMs = monotonicMs();
      }
      socket.end();
      return true;
    } catch {
      return false;
    } finally {
      this.startedMs.delete(index);
      await closed;
      this.sockets.delete(socket);
    }
  }
}
