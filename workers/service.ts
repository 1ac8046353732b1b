/**
 * Runs a service: burns and sleeps in place of a handler that does work. In a worker, before each echo.
 */
import { type ServiceSpec, STOP } from '../src/memory/layout.ts';
import { monotonicMs } from '../src/sys/clock.ts';

/** One step that was done, for those who draw it. Times of the monotonic clock. */
export interface DoneStep {
  kind: 'burn' | 'sleep';
  startMs: number;
  endMs: number;
}

/** What a service needs of its thread. */
interface ServiceHost {
  /** The shared ones: a stop ends a service early. */
  words: Int32Array;
  /** How this strategy sleeps: it may hand the run slot on meanwhile. */
  blocking: (sleep: () => void) => void;
  /** CPU time of the thread. */
  cpuMs: () => number;
}

/** `done` is told of every step, when somebody wants to know. */
export function runService(
  spec: ServiceSpec,
  { words, blocking, cpuMs }: ServiceHost,
  done: ((step: DoneStep) => void) | null,
): void {
  for (const { kind, durationMs } of spec.steps) {
    const startMs = done === null ? 0 : monotonicMs();
    if (kind === 'burn') burn(durationMs, words, cpuMs);
    else blocking(() => sleep(durationMs, words));
    done?.({ kind, startMs, endMs: monotonicMs() });
  }
}

function stopping(words: Int32Array): boolean {
  return Atomics.load(words, STOP) === 1;
}

function burn(durationMs: number, words: Int32Array, cpuMs: () => number): void {
  const endMs = cpuMs() + durationMs;
  while (cpuMs() < endMs && !stopping(words));
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
