/**
 * Hand-offs on request: looks at shared memory until one is complete.
 *
 * Runs on the endpoint's thread. Looking takes a processor's time, at most for RECORD_MS. So the thread answers others
 * after each slice, and a recording serves all requests until PAUSE_MS after its end.
 */
import type { SharedState } from '../memory/layout.ts';
import { monotonicMs } from '../sys/clock.ts';
import { type HandOff, HandOffRecorder } from './hand-off.ts';

const SEEK_MS = 1500;
/** Longest recording. */
const RECORD_MS = 3000;
const SLICE_MS = 3;
const PAUSE_MS = 2000;
/** Between two looks while the sleeper sleeps. */
const LOOK_INTERVAL_MS = 1;

export class HandOffs {
  private latest: Promise<HandOff | null> | null = null;
  private endedMs: number | null = null;

  /** Null: none began in time, or the server has no CPU pools. */
  record(shared: SharedState | null): Promise<HandOff | null> {
    const isRecent = this.endedMs === null || monotonicMs() - this.endedMs < PAUSE_MS;
    if (this.latest !== null && isRecent) return this.latest;
    this.endedMs = null;
    this.latest = record(shared).finally(() => {
      this.endedMs = monotonicMs();
    });
    return this.latest;
  }
}

async function record(shared: SharedState | null): Promise<HandOff | null> {
  if (shared === null || shared.config.cpus === 0) return null;
  let recorder = new HandOffRecorder(shared);
  /** The last complete one in which the next worker began no item, or none was seen. */
  let partial: HandOff | null = null;
  const startMs = monotonicMs();
  for (;;) {
    const isComplete = lookForSlice(recorder);
    if (recorder.isWhole) return recorder.handOff;
    if (isComplete) {
      partial = recorder.handOff;
      recorder = new HandOffRecorder(shared);
    }
    const elapsedMs = monotonicMs() - startMs;
    if (elapsedMs > RECORD_MS || (elapsedMs > SEEK_MS && recorder.handOff === null))
      return partial ?? recorder.handOff;
    await new Promise((resolve) =>
      recorder.isWaiting ? setTimeout(resolve, LOOK_INTERVAL_MS) : setImmediate(resolve),
    );
  }
}

/** True when a hand-off is complete. */
function lookForSlice(recorder: HandOffRecorder): boolean {
  const untilMs = monotonicMs() + SLICE_MS;
  for (let nowMs = untilMs - SLICE_MS; nowMs < untilMs; nowMs = monotonicMs()) {
    if (recorder.look(nowMs * 1000)) return true;
    if (recorder.isWaiting) return false;
  }
  return false;
}
