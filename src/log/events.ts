/**
 * What has happened lately, for those who watch: a ring of the last events.
 *
 * Main thread only; bounded; nothing here is written per echo, nor per connection but for the thread that kthread makes
 * for it: what may happen all the time is told in bundles. Numbers and short words of ours only, never anything that a client sent.
 */
import type { ServerEvent } from '../schema/status.ts';
import { monotonicMs } from '../sys/clock.ts';

export type EventKind =
  | 'listening'
  /** Somebody closed the listening socket or shut it down. */
  | 'listeningLost'
  | 'draining'
  | 'threadMade'
  | 'workerCulled'
  | 'workerDied'
  | 'creationFailed'
  /** The watchdog took the run slot from an item that was awake for too long; told in bundles. */
  | 'slotTaken'
  | 'mayday'
  | 'hang'
  | 'refused';

/** Events kept. */
const CAPACITY = 200;

export class Events {
  private readonly ring: ServerEvent[] = [];
  private readonly startMs = monotonicMs();
  private lastSeq = 0;

  /** Milliseconds since the server was made. */
  get uptimeMs(): number {
    return Math.round(monotonicMs() - this.startMs);
  }

  add(kind: EventKind, detail: ServerEvent['detail'] = {}): void {
    const seq = ++this.lastSeq;
    this.ring[(seq - 1) % CAPACITY] = { seq, atMs: this.uptimeMs, kind, detail };
  }

  /** The last CAPACITY, the oldest first. */
  recent(): ServerEvent[] {
    const from = this.lastSeq % CAPACITY;
    return this.lastSeq <= CAPACITY
      ? [...this.ring]
      : [...this.ring.slice(from), ...this.ring.slice(0, from)];
  }
}
