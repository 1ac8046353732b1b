/**
 * Clients of /events: server-sent events, each a whole status, so any of them may be skipped.
 *
 * Runs on the endpoint's thread. Without watchers there is no timer and no snapshot. Otherwise a timer ticks ten times a
 * second; a tick at which any watcher is due takes one snapshot and serializes it once for all. /status.json and
 * /metrics use that snapshot too until it is too old.
 *
 * Bounded: MAX_WATCHERS, with at most one unsent frame each; while a frame is unsent, the watcher loses the next ones,
 * which are counted. A watcher that reads nothing is cut by the server's socket timeout.
 *
 * A frame, in the HTML standard's event stream format; `lost` precedes a status when frames were lost since the last
 * one, and holds their number since the watcher connected:
 *
 *   retry: 1000            first frame only
 *   event: lost            only after a loss
 *   data: {"frames":3}
 *
 *   id: 42                 numbers the frames made, the same for all watchers
 *   event: status
 *   data: {...}            as /status.json
 */
import type { ServerResponse } from 'node:http';
import type { Snapshots } from './snapshots.ts';

export const MAX_WATCHERS = 16;
/** Maximum frames per second, per watcher and overall. */
export const MAX_HZ = 10;
const TICK_MS = 1000 / MAX_HZ;
/** X-Accel-Buffering: nginx must pass on each frame at once instead of buffering. */
export const EVENT_STREAM = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'X-Accel-Buffering': 'no',
} as const;
/** Delay before a browser reconnects. */
const RETRY_MS = 1000;

interface Watcher {
  response: ServerResponse;
  /** Id of the last frame sent to it; 0 before the first. */
  sentId: number;
  hz: number;
  /** Frames lost since it connected, and the number last reported to it. */
  lost: number;
  reportedLost: number;
}

export class Watchers {
  private readonly snapshots: Snapshots;
  private readonly onError: (error: Error) => void;
  private readonly watchers = new Set<Watcher>();
  private timer: NodeJS.Timeout | null = null;
  private tick = 0;
  private frameId = 0;
  private frame = '';
  /** When `frame` was made. */
  private frameMs = Number.NEGATIVE_INFINITY;
  private making: Promise<boolean> | null = null;
  private closed = false;
  private lostCount = 0;
  private sentCount = 0;

  /** `onError` is called when no snapshot can be taken, which is a defect; then all watchers are cut. */
  constructor(snapshots: Snapshots, onError: (error: Error) => void) {
    this.snapshots = snapshots;
    this.onError = onError;
  }

  get size(): number {
    return this.watchers.size;
  }

  get isFull(): boolean {
    return this.closed || this.watchers.size >= MAX_WATCHERS;
  }

  /** Frames made, sent and lost since the start. */
  get frames(): { made: number; sent: number; lost: number } {
    return { made: this.frameId, sent: this.sentCount, lost: this.lostCount };
  }

  /** For tests: bytes buffered in this process, per watcher. @internal */
  get waitingBytes(): number[] {
    return [...this.watchers].map(({ response }) => response.writableLength);
  }

  /**
   * Takes over the response and sends a first frame. False if no frame can be made; the response is then the caller's.
   * Must not be called when full.
   */
  async add(response: ServerResponse, hz: number): Promise<boolean> {
    const watcher = { response, sentId: 0, hz, lost: 0, reportedLost: 0 };
    this.watchers.add(watcher); // takes its place before the frame is made
    response.once('close', () => this.remove(watcher));
    // Clients that keep reconnecting cost no extra frames.
    const hasFrame = performance.now() - this.frameMs < TICK_MS || (await this.makeFrame());
    if (!this.watchers.has(watcher)) return true; // it has left meanwhile, or was cut
    if (!hasFrame) {
      this.remove(watcher);
      return false;
    }
    // No keep-alive: the stream ends with the connection.
    response.writeHead(200, { ...EVENT_STREAM, Connection: 'close' });
    response.write(`retry: ${RETRY_MS}\n${this.frame}`);
    watcher.sentId = this.frameId;
    this.sentCount++;
    this.timer ??= setInterval(() => void this.onTick(), TICK_MS).unref();
    return true;
  }

  /** Sends all watchers a last frame and ends their streams. No watcher is accepted afterwards. */
  async close(): Promise<void> {
    this.closed = true;
    const isMade = this.watchers.size > 0 && (await this.makeFrame());
    for (const watcher of [...this.watchers]) {
      if (isMade && watcher.sentId > 0 && this.send(watcher)) watcher.response.end();
      else watcher.response.destroy(); // it would not read the end either
    }
    this.watchers.clear();
    this.stopTicking();
  }

  private remove(watcher: Watcher): void {
    this.watchers.delete(watcher);
    if (this.watchers.size === 0) this.stopTicking();
  }

  private stopTicking(): void {
    if (this.timer !== null) clearInterval(this.timer);
    this.timer = null;
  }

  private async onTick(): Promise<void> {
    const before = this.tick++;
    const due = [...this.watchers].filter(({ hz, sentId }) => sentId > 0 && isDue(before, hz));
    if (due.length === 0) return;
    if (!(await this.makeFrame())) for (const { response } of [...this.watchers]) response.destroy();
    else for (const watcher of due) if (this.watchers.has(watcher)) this.send(watcher);
  }

  /** Makes a frame, or waits for the one that is being made. False when none can be made. */
  private makeFrame(): Promise<boolean> {
    this.making ??= this.replaceFrame().finally(() => {
      this.making = null;
    });
    return this.making;
  }

  private async replaceFrame(): Promise<boolean> {
    try {
      const { json } = await this.snapshots.fresh();
      this.frame = `id: ${this.frameId + 1}\nevent: status\ndata: ${json}\n\n`;
    } catch (error) {
      this.frameMs = Number.NEGATIVE_INFINITY;
      this.onError(error as Error);
      return false;
    }
    this.frameId++;
    this.frameMs = performance.now();
    return true;
  }

  /** False when an earlier frame is still unsent; the watcher loses this one. A tick may find the frame sent already. */
  private send(watcher: Watcher): boolean {
    const { response } = watcher;
    if (watcher.sentId === this.frameId) return true;
    watcher.sentId = this.frameId;
    if (response.writableNeedDrain || response.writableLength > 0) {
      watcher.lost++;
      this.lostCount++;
      return false;
    }
    const { lost, reportedLost } = watcher;
    const lostEvent = lost > reportedLost ? `event: lost\ndata: {"frames":${lost}}\n\n` : '';
    watcher.reportedLost = lost;
    response.write(lostEvent + this.frame);
    this.sentCount++;
    return true;
  }
}

/** Whether a watcher with `hz` frames per second, spread evenly over ten ticks, is due at the tick after `before`. */
export function isDue(before: number, hz: number): boolean {
  return Math.floor(((before + 1) * hz) / MAX_HZ) > Math.floor((before * hz) / MAX_HZ);
}
