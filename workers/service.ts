/**
 * Runs a service: burns and sleeps in place of a handler that does work. In a worker, before each echo.
 */
import type { ServiceSpec } from '../src/service.ts';
import { monotonicMs, threadCpuMs } from '../src/sys/clock.ts';

const never = new Int32Array(new SharedArrayBuffer(4));

/** One step that was done, for those who draw it. Times of the monotonic clock. */
export interface DoneStep {
  kind: 'burn' | 'sleep';
  startMs: number;
  endMs: number;
}

/**
 * `blocking` is how this strategy sleeps: it may hand the run slot on meanwhile. `done` is told of every
 * step, when somebody wants to know.
 */
export function runService(
  spec: ServiceSpec,
  blocking: (sleep: () => void) => void,
  done: ((step: DoneStep) => void) | null,
): void {
  for (const { kind, durationMs } of spec.steps) {
    const startMs = done === null ? 0 : monotonicMs();
    if (kind === 'burn') burn(durationMs);
    else blocking(() => sleep(durationMs));
    done?.({ kind, startMs, endMs: monotonicMs() });
  }
}

function burn(durationMs: number): void {
  const endMs = threadCpuMs() + durationMs;
  while (threadCpuMs() < endMs);
}

function sleep(durationMs: number): void {
  // In pieces, so that a thread that is terminated ends: see epollWait.
  const endMs = monotonicMs() + durationMs;
  for (let restMs = durationMs; restMs > 0; restMs = endMs - monotonicMs())
    sleepSlice(Math.min(restMs, 1000));
}

function sleepSlice(durationMs: number): void {
  Atomics.wait(never, 0, 0, durationMs);
}
