/**
 * Those who watch: server-sent events, each a whole status, so that any may be lost.
 *
 * Main thread only. While nobody watches there is no timer and no snapshot. Else a timer ticks ten times a second,
 * and a tick at which a frame is due for anybody takes one snapshot and makes one text of it for all; /status.json and
 * /metrics answer from it, too, until it is too old.
 *
 * Bounded: MAX_WATCHERS, and for each at most one frame that its socket has not taken; as long as there is one the
 * watcher loses frames, which are counted. One that takes nothing at all is cut by the server's socket timeout.
 *
 * A frame, fields of the HTML standard's event stream; `lost` stands before a status when frames were lost since the
 * last one, with their number since the watcher came:
 *
 *   retry: 1000            only the first
 *   event: lost            only after a loss
 *   data: {"frames":3}
 *
 *   id: 42                 counts frames made, for everybody
 *   event: status
 *   data: {...}            as /status.json
 */
import type { ServerResponse } from 'node:http';
import type { Snapshots } from './snapshots.ts';

export const MAX_WATCHERS = 16;
/** Most frames a second, for one and in all. */
export const MAX_HZ = 10;
const TICK_MS = 1000 / MAX_HZ;
/** A proxy in front is to pass on each frame at once (nginx collects them otherwise). */
export const EVENT_STREAM = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'X-Accel-Buffering': 'no',
} as const;
/** What a browser waits before it comes back. */
const RETRY_MS = 1000;

interface Watcher {
  response: ServerResponse;
  hz: number;
  /** Frames lost since it came, and those it has been told of. */
  lost: number;
  told: number;
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
  private closed = false;
  private lostCount = 0;
  private sentCount = 0;

  /** `onError` is told when no snapshot can be taken, which is a defect; then everybody is cut. */
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

  /** For tests: bytes that wait in this process for each watcher. @internal */
  get waitingBytes(): number[] {
    return [...this.watchers].map(({ response }) => response.writableLength);
  }

  /** Takes over the response; the first frame goes out at once. False: no frame can be made. Not to be called when full. */
  add(response: ServerResponse, hz: number): boolean {
    // Those who keep coming make no work.
    if (performance.now() - this.frameMs >= TICK_MS && !this.makeFrame()) return false;
    const watcher = { response, hz, lost: 0, told: 0 };
    this.watchers.add(watcher);
    response.once('close', () => this.remove(watcher));
    // Without keep-alive: the end of the stream is the end of the connection.
    response.writeHead(200, { ...EVENT_STREAM, Connection: 'close' });
    response.write(`retry: ${RETRY_MS}\n${this.frame}`);
    this.sentCount++;
    this.timer ??= setInterval(() => this.onTick(), TICK_MS).unref();
    return true;
  }

  /** A last frame for everybody, and the end. Nobody is taken on any more. */
  close(): void {
    this.closed = true;
    const isMade = this.watchers.size > 0 && this.makeFrame();
    for (const watcher of [...this.watchers]) {
      if (isMade && this.send(watcher)) watcher.response.end();
      else watcher.response.destroy(); // it would not take the end either
    }
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

  private onTick(): void {
    const before = this.tick++;
    const due = [...this.watchers].filter(({ hz }) => isDue(before, hz));
    if (due.length === 0) return;
    if (this.makeFrame()) for (const watcher of due) this.send(watcher);
    else for (const { response } of [...this.watchers]) response.destroy();
  }

  private makeFrame(): boolean {
    try {
      this.frame = `id: ${this.frameId + 1}\nevent: status\ndata: ${this.snapshots.fresh().json}\n\n`;
    } catch (error) {
      this.frameMs = Number.NEGATIVE_INFINITY;
      this.onError(error as Error);
      return false;
    }
    this.frameId++;
    this.frameMs = performance.now();
    return true;
  }

  /** False when the watcher has not taken an earlier frame yet and loses this one. */
  private send(watcher: Watcher): boolean {
    const { response } = watcher;
    if (response.writableNeedDrain || response.writableLength > 0) {
      watcher.lost++;
      this.lostCount++;
      return false;
    }
    const { lost } = watcher;
    const news = lost > watcher.told ? `event: lost\ndata: {"frames":${lost}}\n\n` : '';
    watcher.told = lost;
    response.write(news + this.frame);
    this.sentCount++;
    return true;
  }
}

/** Whether one of `hz` frames a second is due at the tick after `before`: they are spread evenly over ten ticks. */
export function isDue(before: number, hz: number): boolean {
  return Math.floor(((before + 1) * hz) / MAX_HZ) > Math.floor((before * hz) / MAX_HZ);
}
