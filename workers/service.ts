/**
 * Runs a service: burns and sleeps in place of a handler that does work. In a worker, before each echo.
 */
import type { ServiceSpec } from '../src/service.ts';
import { STOP } from '../src/shared/layout.ts';
import { monotonicMs, threadCpuMs } from '../src/sys/clock.ts';

/** One step that was done, for those who draw it. Times of the monotonic clock. */
export interface DoneStep {
  kind: 'burn' | 'sleep';
  startMs: number;
  endMs: number;
}

/**
 * `blocking` is how this strategy sleeps: it may hand the run slot on meanwhile. `done` is told of every
 * step, when somebody wants to know. A stop ends it early; `words` are the shared ones.
 */
export function runService(
  spec: ServiceSpec,
  blocking: (sleep: () => void) => void,
  done: ((step: DoneStep) => void) | null,
  words: Int32Array,
): void {
  for (const { kind, durationMs } of spec.steps) {
    const startMs = done === null ? 0 : monotonicMs();
    if (kind === 'burn') burn(durationMs, words);
    else blocking(() => sleep(durationMs, words));
    done?.({ kind, startMs, endMs: monotonicMs() });
  }
}

function stopping(words: Int32Array): boolean {
  return Atomics.load(words, STOP) === 1;
}

function burn(durationMs: number, words: Int32Array): void {
  const endMs = threadCpuMs() + durationMs;
  while (threadCpuMs() < endMs && !stopping(words));
}

function sleep(durationMs: number, words: Int32Array): void {
  // In pieces, so that a thread that is terminated ends: see epollWait.
  const endMs = monotonicMs() + durationMs;
  for (let restMs = durationMs; restMs > 0 && !stopping(words); restMs = endMs - monotonicMs()) {
    sleepSlice(Math.min(restMs, 1000), words);
  }
}

function sleepSlice(durationMs: number, words: Int32Array): void {
  Atomics.wait(words, STOP, 0, durationMs);
}
