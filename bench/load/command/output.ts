/**
 * Result files, standard output and the progress line. Owns the open files.
 *
 * Lines are written after each run, so that an interrupted measurement keeps all earlier runs.
 */
import { closeSync, writeFileSync, writeSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { STDOUT } from '../../../src/options/values.ts';
import { openOutput } from '../../flags.ts';
import type { Live } from '../live.ts';
import type { Step } from './bench-options.ts';
import { perSecondText } from './values.ts';

/** A file or standard output, written line by line. */
export class Sink {
  private readonly fd: number | null;

  /** Throws UsageError when the file is not writable, so before measuring. */
  constructor(flag: string, destination: string) {
    this.fd = destination === STDOUT ? null : openOutput(flag, destination, 'w');
  }

  write(text: string): void {
    if (this.fd === null) process.stdout.write(text);
    else writeSync(this.fd, text);
  }

  close(): void {
    if (this.fd !== null) closeSync(this.fd);
  }
}

type Named = Pick<Step, 'stage' | 'clients'>;

/** The file of one point: the given one, or with several points one per stage or client count. */
function fileOf(path: string, { stage, clients }: Named, points: number): string {
  const extension = extname(path);
  const name = basename(path, extension);
  return points === 1 ? path : join(dirname(path), `${name}-${stage ?? clients}${extension}`);
}

/** Creates the files of writePoint(). Throws UsageError when one is not writable. */
export function checkPoints(flag: string, destination: string, points: readonly Named[]): void {
  if (destination === STDOUT) return;
  for (const point of points) closeSync(openOutput(flag, fileOf(destination, point, points.length), 'w'));
}

export function writePoint(destination: string, point: Named, points: number, text: string): void {
  if (destination === STDOUT) process.stdout.write(text);
  else writeFileSync(fileOf(destination, point, points), text);
}

/** Where a run is, and what it has measured so far. */
export function liveText({ phase, forMs, completed, errors }: Live): string {
  if (phase !== 'window') return `, ${phase}`;
  const rate = forMs > 0 ? `, ${perSecondText((completed * 1000) / forMs)}/s` : '';
  const failed = errors > 0 ? `, ${errors} errors` : '';
  return `, ${completed.toLocaleString('en-US')} samples in ${(forMs / 1000).toFixed(1)} s${rate}${failed}`;
}

/** The progress line on standard error; silent unless that is a terminal. */
export class Progress {
  private readonly total: number;
  private readonly startedMs = performance.now();
  private readonly timer: NodeJS.Timeout | null;
  private done = 0;
  private text = '';
  private figures = '';
  private readonly plannedMs: number;

  /** `plannedMs`: minimum duration of all runs. */
  constructor(total: number, plannedMs: number) {
    this.total = total;
    this.plannedMs = plannedMs;
    this.timer = process.stderr.isTTY ? setInterval(() => this.show(), 250) : null;
  }

  get isShown(): boolean {
    return this.timer !== null;
  }

  run(text: string): void {
    this.text = text;
    this.figures = '';
    this.show();
  }

  live(live: Live): void {
    this.figures = liveText(live);
    this.show();
  }

  ended(): void {
    this.done++;
  }

  private show(): void {
    if (this.timer === null) return;
    const leftMs = Math.max(0, this.plannedMs - (performance.now() - this.startedMs));
    const estimate = this.plannedMs > 0 ? `, about ${Math.ceil(leftMs / 1000)} s left` : '';
    const line = `run ${this.done + 1} of ${this.total}: ${this.text}${this.figures}${estimate}`;
    // Carriage return and "erase line" keep it on one line; a longer one would be wrapped.
    process.stderr.write(`\r\x1b[K${line.slice(0, (process.stderr.columns || 80) - 1)}`);
  }

  close(): void {
    if (this.timer === null) return;
    clearInterval(this.timer);
    process.stderr.write('\r\x1b[K');
  }
}
