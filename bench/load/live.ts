/**
 * The progress of a run, for bench: lines of JSON on standard output before the result, when the window opens and ends, and
 * about four times a second in between. Runs on the generator's only thread; a line is one short write to a pipe.
 */
import { writeSync } from 'node:fs';
import type { Tally } from './tally.ts';

const EVERY_MS = 250;
const STDOUT_FD = 1;
export type Phase = 'warm-up' | 'window' | 'end';

export interface Live {
  phase: Phase;
  /** Since the phase began. */
  forMs: number;
  /** Samples completed in the window. */
  completed: number;
  errors: number;
}

/** The content of a line; null if it is another one. */
export function liveOf(line: string): Live | null {
  return line.startsWith('{"phase":') ? (JSON.parse(line) as Live) : null;
}

export class LiveReport {
  private readonly isOn: boolean;
  private readonly tally: Tally;
  private phase: Phase = 'warm-up';
  private sinceMs = performance.now();
  private nextMs = 0;

  constructor(isOn: boolean, tally: Tally) {
    this.isOn = isOn;
    this.tally = tally;
  }

  enter(phase: Phase): void {
    this.phase = phase;
    this.sinceMs = performance.now();
    this.write(this.sinceMs);
  }

  tick(nowMs: number): void {
    if (nowMs >= this.nextMs) this.write(nowMs);
  }

  private write(nowMs: number): void {
    if (!this.isOn) return;
    this.nextMs = nowMs + EVERY_MS;
    const { completed, errorCount: errors } = this.tally;
    const line: Live = { phase: this.phase, forMs: nowMs - this.sinceMs, completed, errors };
    writeSync(STDOUT_FD, `${JSON.stringify(line)}\n`);
  }
}
