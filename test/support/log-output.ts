/**
 * Outputs for the log: one in memory, one that fails on demand, and a FIFO that the test reads when it wants to; and
 * the error message about the latter two.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { type Logger, pino } from 'pino';
import { onTestFinished } from 'vitest';
import { E } from '../../src/sys/libc.ts';
import type { LogLine } from './child.ts';
import { temporaryFolder } from './folder.ts';

/** The message on standard error when log lines cannot be written. */
export const errorMessage = (why: string) =>
  `kecho-pool: cannot write the log (${why}); continuing without it\n`;

/** A logger, and the lines that it has logged at `level` and above. */
export function recordingLogger<Line = LogLine>(level = 'info'): { lines: Line[]; logger: Logger } {
  const lines: Line[] = [];
  const logger = pino({ base: null, level }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { lines, logger };
}

/** An output with limited room, or with an error. */
export class FakeOutput {
  room = Number.POSITIVE_INFINITY;
  /** Every write fails with this errno. */
  error = 0;
  /** Result of poll, whatever the room; null = by room and error. */
  pollsWritable: boolean | null = null;
  text = '';
  polls = 0;
  writes: number[] = [];

  isWritable(): boolean {
    this.polls++;
    return this.pollsWritable ?? (this.error > 0 || this.room > 0);
  }

  write(bytes: Uint8Array): number {
    this.writes.push(bytes.length);
    if (this.error > 0) return -this.error;
    const count = Math.min(this.room, bytes.length);
    if (count === 0) return -E.EAGAIN;
    this.room -= count;
    this.text += Buffer.from(bytes.subarray(0, count)).toString();
    return count;
  }
}

/** The reading end of a FIFO; reads only when called. */
export class Fifo {
  readonly path: string;
  private fd: number;
  text = '';

  constructor() {
    this.path = join(temporaryFolder(), 'log');
    execFileSync('mkfifo', [this.path]);
    this.fd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
    onTestFinished(() => this.close());
  }

  /** Reads what is available, and returns all text so far. */
  read(): string {
    const buffer = Buffer.alloc(65536);
    try {
      for (let n = 1; n > 0; ) {
        n = readSync(this.fd, buffer);
        this.text += buffer.toString('latin1', 0, n);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
    return this.text;
  }

  /** The lines so far; throws when one is not complete JSON. */
  lines(): LogLine[] {
    return this.read()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine);
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }
}
