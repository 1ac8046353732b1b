/**
 * Worker deaths under any strategy: counted by cause, recorded as events, and logged.
 *
 * Main thread only.
 */
import type { EventKind } from '../log/events.ts';
import type { ServerStats } from '../schema/status.ts';

export type DeathCounts = ServerStats['threads']['died'];

/** Why a thread died. */
export type DeathCause = keyof DeathCounts;

export function noDeaths(): DeathCounts {
  return { error: 0, outOfMemory: 0, terminated: 0 };
}

/** The cause, from the error of the thread's `error` event; a terminated thread has no such event. */
export function causeOf(error: Error | null): DeathCause {
  if (error === null) return 'terminated';
  return (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'outOfMemory' : 'error';
}

/** Takes events and log lines. */
export interface DeathListener {
  note: (kind: EventKind, detail: Record<string, number | string | boolean>) => void;
  warn: (what: string, details: object) => void;
}

export class Deaths {
  readonly counts = noDeaths();
  private readonly listener: DeathListener;

  constructor(listener: DeathListener) {
    this.listener = listener;
  }

  /** `error` is from the thread's `error` event; null if there was none. */
  record(worker: number | 'monitor', error: Error | null, connectionLost: boolean): void {
    const cause = causeOf(error);
    this.counts[cause]++;
    this.listener.note('workerDied', { worker, cause, connectionLost });
    this.listener.warn('worker died', { worker, cause, connectionLost, err: error ?? undefined });
  }
}
