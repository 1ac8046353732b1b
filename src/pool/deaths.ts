/**
 * Deaths of workers, whatever the strategy: counted by cause, kept as an event, and logged.
 *
 * Main thread only.
 */
import type { EventKind } from '../log/events.ts';
import type { ServerStats } from '../schema/status.ts';

export type DeathCounts = ServerStats['threads']['died'];

/** Why a thread ended that should not have. */
export type DeathCause = keyof DeathCounts;

export function noDeaths(): DeathCounts {
  return { error: 0, outOfMemory: 0, terminated: 0 };
}

/** Why a thread ended, from what its `error` event said; nothing is said of one that was terminated. */
function causeOf(error: Error | null): DeathCause {
  if (error === null) return 'terminated';
  return (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY' ? 'outOfMemory' : 'error';
}

/** Who is told. */
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

  /** `error` is what the thread's `error` event said, null when there was none. */
  happened(worker: number, error: Error | null, connectionLost: boolean): void {
    const cause = causeOf(error);
    this.counts[cause]++;
    this.listener.note('workerDied', { worker, cause, connectionLost });
    this.listener.warn('a worker died', { worker, cause, connectionLost, err: error ?? undefined });
  }
}
