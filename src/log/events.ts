/**
 * Recent events, for the status: a ring of the last ones.
 *
 * Main thread only. No event per echo, and none per connection except for the thread that kthread creates for it;
 * frequent events are aggregated. Contains only numbers and constant words, never anything that a client sent.
 */
import type { ServerEvent } from '../schema/status.ts';
import { monotonicMs } from '../sys/clock.ts';

export type EventKind =
  | 'listening'
  /** Other code closed the listening socket or shut it down. */
  | 'listeningLost'
  | 'draining'
  | 'threadMade'
  | 'workerCulled'
  | 'workerDied'
  | 'creationFailed'
  /** The monitor took the run slot from items that computed for too long; aggregated. */
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

  /** Milliseconds since the server was created. */
  get uptimeMs(): number {
    return Math.round(monotonicMs() - this.startMs);
  }

  add(kind: EventKind, detail: ServerEvent['detail'] = {}): void {
    const seq = ++this.lastSeq;
    this.ring[(seq - 1) % CAPACITY] = { seq, atMs: this.uptimeMs, kind, detail };
  }

  /** The last CAPACITY events, oldest first. */
  recent(): ServerEvent[] {
    const from = this.lastSeq % CAPACITY;
    return this.lastSeq <= CAPACITY
      ? [...this.ring]
      : [...this.ring.slice(from), ...this.ring.slice(0, from)];
  }
}
