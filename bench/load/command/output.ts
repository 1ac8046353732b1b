/**
 * Result files, standard output and the progress line. Owns the open files.
 *
 * Lines are written after each run, so that an interrupted measurement keeps all earlier runs.
 */
import { closeSync, writeFileSync, writeSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import { STDOUT } from '../../../src/options/values.ts';
import { openOutput } from '../../flags.ts';

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

/** The file of one point: the given one, or with several points one per client count. */
function fileOf(path: string, clients: number, points: number): string {
  const extension = extname(path);
  const name = basename(path, extension);
  return points === 1 ? path : join(dirname(path), `${name}-${clients}${extension}`);
}

/** Creates the files of writePoint(). Throws UsageError when one is not writable. */
export function checkPoints(flag: string, destination: string, counts: readonly number[]): void {
  if (destination === STDOUT) return;
  for (const clients of counts) closeSync(openOutput(flag, fileOf(destination, clients, counts.length), 'w'));
}

export function writePoint(destination: string, clients: number, points: number, text: string): void {
  if (destination === STDOUT) process.stdout.write(text);
  else writeFileSync(fileOf(destination, clients, points), text);
}

/** The progress line on standard error; silent unless that is a terminal. */
export class Progress {
  private readonly total: number;
  private readonly startedMs = performance.now();
  private readonly timer: NodeJS.Timeout | null;
  private done = 0;
  private text = '';
  private readonly plannedMs: number;

  /** `plannedMs`: minimum duration of one run. */
  constructor(total: number, plannedMs: number) {
    this.total = total;
    this.plannedMs = plannedMs;
    this.timer = process.stderr.isTTY ? setInterval(() => this.show(), 250) : null;
  }

  run(text: string): void {
    this.text = text;
    this.show();
  }

  ended(): void {
    this.done++;
  }

  private show(): void {
    if (this.timer === null) return;
    const elapsedMs = performance.now() - this.startedMs;
    const eachMs = this.done > 0 ? elapsedMs / this.done : this.plannedMs;
    const leftMs = Math.max(0, eachMs * this.total - elapsedMs);
    const estimate = eachMs > 0 ? `, about ${Math.ceil(leftMs / 1000)} s left` : '';
    // Carriage return and "erase line" keep it on one line.
    process.stderr.write(`\r\x1b[Krun ${this.done + 1} of ${this.total}: ${this.text}${estimate}`);
  }

  close(): void {
    if (this.timer === null) return;
    clearInterval(this.timer);
    process.stderr.write('\r\x1b[K');
  }
}
