/**
 * Writes log lines to a descriptor that may be full, broken or closed, and must not stop the server.
 *
 * Runs on the thread that logs. While the descriptor accepts data, a line is written when `write` returns. While it
 * does not, nothing here throws, blocks or spins:
 *
 *   open      poll(2) reports room: the line is written, in pieces that a pipe takes without blocking
 *   retrying  no room (a stalled reader) or a transient error (ENOSPC, EIO): up to PENDING_BYTES are kept and written
 *             later; lines beyond are dropped and counted
 *   closed    a permanent error (EPIPE, EBADF): every line is dropped
 *
 * Lines are written whole and in order. After a drop all later lines are dropped until the kept ones are written; then
 * the loss is reported, so the report is exactly where the lines are missing. The first failure of each kind is also
 * reported on standard error.
 *
 * Owns a timer and an exit listener, both only while lines are kept; the timer keeps no process alive. Only one
 * sink per descriptor: two would interleave parts of lines.
 */
import { E, errnoName } from '../sys/libc.ts';
import { type Output, outputTo, PIPE_BUF } from '../sys/output.ts';

/** Limit on kept bytes: the capacity of a pipe, some 400 lines. */
export const PENDING_BYTES = 64 * 1024;
/** Interval between attempts to write kept lines. */
const RETRY_MS = 100;

/** Errors after which a descriptor never accepts a byte again. */
const PERMANENT = new Set([E.EPIPE, E.EBADF, E.ECONNRESET]);

/** Called with the number of lost lines, once writing works again. It may write a line. */
export type LossReporter = (lost: number) => void;

export class LogSink {
  private readonly output: Output;
  private readonly errorOutput: Output;
  /** Unwritten lines; the first may be partly written, and is then only its rest. */
  private readonly pending: Uint8Array[] = [];
  private pendingBytes = 0;
  /** Lines dropped since the last report. While above 0, all lines are dropped: the report comes first. */
  private lost = 0;
  private reportLoss: LossReporter = () => {};
  /** The last write failed. Only the timer retries then, since a failing write may be slow. */
  private failing = false;
  private closed = false;
  private readonly reportedErrors = new Set<number>();
  private timer: NodeJS.Timeout | null = null;
  private readonly onExit = () => this.flush();

  constructor(output: Output, errorOutput: Output) {
    this.output = output;
    this.errorOutput = errorOutput;
  }

  /** Whether all further lines are dropped. */
  get isClosed(): boolean {
    return this.closed;
  }

  /** Whether lines are kept or a loss is unreported. */
  get isRetrying(): boolean {
    return this.timer !== null;
  }

  /**
   * Writes a line, newline included, or else keeps or drops it. `reportLoss` is called once writing works again, if
   * lines were dropped.
   */
  write(line: string, reportLoss: LossReporter): void {
    if (!this.failing) this.flush();
    if (this.closed) return;
    this.reportLoss = reportLoss;
    const bytes = Buffer.from(line);
    // With nothing pending, a line longer than PENDING_BYTES may still fit the descriptor.
    const fits = this.pending.length === 0 || this.pendingBytes + bytes.length <= PENDING_BYTES;
    if (this.lost > 0 || !fits) {
      this.lost++;
      if (!this.failing) this.reportError(E.EAGAIN);
      return;
    }
    this.pending.push(bytes);
    this.pendingBytes += bytes.length;
    if (!this.failing) this.flush();
  }

  /** Writes the kept lines, as far as the descriptor accepts them. */
  private flush(): void {
    this.failing = false;
    for (let line = this.pending[0]; line !== undefined; line = this.pending[0]) {
      const written = this.writePiece(line);
      if (written === 0) {
        this.startRetrying();
        return;
      }
      this.pendingBytes -= written;
      if (written < line.length) this.pending[0] = line.subarray(written);
      else this.pending.shift();
    }
    this.stopRetrying();
    const { lost } = this;
    this.lost = 0; // before the report, which writes a line
    if (lost > 0) this.reportLoss(lost);
  }

  /** Writes the beginning of `line` and returns the count; 0 without room or after an error. */
  private writePiece(line: Uint8Array): number {
    if (!this.output.isWritable()) return 0;
    const written = this.output.write(line.subarray(0, PIPE_BUF));
    if (written >= 0) return written;
    if (written !== -E.EAGAIN) this.fail(-written);
    return 0;
  }

  private fail(number: number): void {
    this.failing = true;
    this.reportError(number);
    if (!PERMANENT.has(number)) return;
    this.closed = true;
    this.pending.length = 0;
    this.pendingBytes = 0;
  }

  /** Reports each kind of error once, if standard error works. */
  private reportError(number: number): void {
    if (this.reportedErrors.has(number) || !this.errorOutput.isWritable()) return;
    this.reportedErrors.add(number);
    const why = number === E.EAGAIN ? 'reader stalled' : errnoName(number);
    this.errorOutput.write(Buffer.from(`kecho-pool: cannot write the log (${why}); continuing without it\n`));
  }

  private startRetrying(): void {
    if (this.closed) this.stopRetrying();
    if (this.closed || this.timer !== null) return;
    this.timer = setInterval(() => this.flush(), RETRY_MS).unref();
    process.on('exit', this.onExit);
  }

  private stopRetrying(): void {
    if (this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
    process.removeListener('exit', this.onExit);
  }
}

let shared: LogSink | null = null;

/** The sink on standard output, shared by all loggers of this process. Reports errors on standard error. */
export function standardOutput(): LogSink {
  shared ??= new LogSink(outputTo(1), outputTo(2));
  return shared;
}
