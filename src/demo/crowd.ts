/**
 * The clients of the demo: each connects, asks a few times, closes, rests and comes again.
 *
 * On the main thread beside the server: some forty small messages a second do not disturb it. It owns its sockets and
 * timers until close(). At most MAX_CLIENTS at a time, loopback only.
 */
import { connect, type Socket } from 'node:net';
import { monotonicMs } from '../sys/clock.ts';
import { onConnect } from '../sys/self-connect.ts';

export const MAX_CLIENTS = 64;
export const ANSWERS_PER_VISIT = 5;
export const BETWEEN_ANSWERS_MS = 200;
export const BETWEEN_VISITS_MS = 2000;
/** What a visit that failed waits before the next. */
const AFTER_FAILURE_MS = 1000;
const REQUEST = Buffer.from('a request of the demo, to be echoed\n');

/** Resolves after so long, or when `signal` is aborted. */
function rest(ms: number, signal: AbortSignal): Promise<void> {
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

/** Resolves once `length` bytes have come, rejects when the connection ends before. */
function answer(socket: Socket, length: number): Promise<void> {
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

/** Times of the clients' requests. */
export interface Timing {
  /** An answer came; the first of a visit counts from the connect on. */
  answered(ms: number): void;
}

export class Crowd {
  private readonly port: number;
  private readonly timing: Timing;
  private readonly stopping = new AbortController();
  private readonly visitors: Promise<void>[] = [];
  private readonly sockets = new Set<Socket>();
  /** When the requests under way began, by visitor. */
  private readonly since = new Map<number, number>();
  private wanted: number;
  private held = false;
  private changed = Promise.withResolvers<void>();

  constructor(port: number, clients: number, timing: Timing) {
    this.port = port;
    this.timing = timing;
    this.wanted = clients;
    for (let i = 0; i < MAX_CLIENTS; i++) this.visitors.push(this.visitor(i));
  }

  /** Clients there are when the load is on. */
  get size(): number {
    return this.wanted;
  }

  set size(clients: number) {
    this.wanted = Math.max(1, Math.min(MAX_CLIENTS, clients));
    this.notify();
  }

  /** For how long the oldest request under way has waited; 0 without any. */
  get oldestMs(): number {
    const first = Math.min(...this.since.values());
    return Number.isFinite(first) ? monotonicMs() - first : 0;
  }

  /** Nobody begins a request any more. Resolves when those under way have ended, or are cut after `timeoutMs`; or when released. */
  async hold(timeoutMs: number): Promise<void> {
    this.held = true;
    this.notify();
    const deadlineMs = monotonicMs() + timeoutMs;
    while (this.held && this.sockets.size > 0) {
      if (this.isOver || monotonicMs() >= deadlineMs) {
        for (const socket of this.sockets) socket.destroy();
        return;
      }
      await rest(20, this.stopping.signal);
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
    await Promise.all(this.visitors);
  }

  private notify(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers();
  }

  private get isOver(): boolean {
    return this.stopping.signal.aborted;
  }

  private isAway(index: number): boolean {
    return this.held || this.isOver || index >= this.wanted;
  }

  private async visitor(index: number): Promise<void> {
    const { signal } = this.stopping;
    // Not all at the same moment.
    await rest((index % 16) * (BETWEEN_VISITS_MS / 16), signal);
    while (!this.isOver) {
      if (this.isAway(index)) {
        await this.changed.promise;
        continue;
      }
      const went = await this.visit(index);
      await rest(went ? BETWEEN_VISITS_MS : AFTER_FAILURE_MS, signal);
    }
  }

  /** False when it failed. */
  private async visit(index: number): Promise<boolean> {
    let sinceMs = monotonicMs();
    const socket = connect({ port: this.port, host: '127.0.0.1', noDelay: true });
    onConnect(socket);
    socket.on('error', () => {}); // 'close' follows
    socket.resume(); // the server's end must be read, too
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    this.sockets.add(socket);
    try {
      for (let turn = 1; ; turn++) {
        this.since.set(index, sinceMs);
        socket.write(REQUEST);
        await answer(socket, REQUEST.length);
        this.timing.answered(monotonicMs() - sinceMs);
        this.since.delete(index);
        if (turn === ANSWERS_PER_VISIT || this.isAway(index)) break;
        await rest(BETWEEN_ANSWERS_MS, this.stopping.signal);
        if (this.isAway(index)) break;
        sinceMs = monotonicMs();
      }
      socket.end();
      return true;
    } catch {
      return false;
    } finally {
      this.since.delete(index);
      await closed;
      this.sockets.delete(socket);
    }
  }
}
