/**
 * Runs a service in a worker before each echo: burns CPU time and sleeps in place of a real handler.
 */
import { type ServiceSpec, STOP } from '../src/memory/layout.ts';
import { monotonicMs } from '../src/sys/clock.ts';

const SLICE_MS = 1000;

/** A finished step, for the trace. Monotonic times. */
export interface DoneStep {
  kind: 'burn' | 'sleep';
  startMs: number;
  endMs: number;
}

/** What a service needs from its thread. */
interface ServiceHost {
  /** The shared words: a stop ends a service early. */
  words: Int32Array;
  /** Runs a sleep as this strategy does: cmwq gives up the run slot meanwhile. */
  blocking: (sleep: () => void) => void;
  /** CPU time of the thread. */
  cpuMs: () => number;
}

/** `done`, unless null, is called after every step. */
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
  // In slices, so that a terminated thread ends: see epollWait.
  for (let restMs = durationMs; restMs > 0 && !stopping(words); restMs -= SLICE_MS) {
    sleepSlice(Math.min(restMs, SLICE_MS), words);
  }
}

function sleepSlice(durationMs: number, words: Int32Array): void {
  Atomics.wait(words, STOP, 0, durationMs);
}
