/**
 * Where log lines go: a descriptor that may be full, broken or closed, and that must not stop the server.
 *
 * Runs on the thread that logs, and writes at once: while the descriptor takes what it is given, a line is out
 * when `write` returns. While it does not, nothing here throws, waits or spins:
 *
 *   open     poll(2) said there is room, so the line is written, in pieces that a pipe takes without blocking
 *   held     no room (a reader that has stopped) or an error that may pass (ENOSPC, EIO): up to PENDING_BYTES
 *            are kept and written later; what comes beyond is dropped and counted by the line
 *   closed   an error that cannot pass (EPIPE, EBADF): every line is dropped
 *
 * Lines come out whole and in their order. Once lines were dropped, so are all later ones until those kept are
 * out; then the loss is reported, so the report stands exactly where the lines are missing. The first failure
 * of each kind is also said on standard error.
 *
 * It owns a timer and an exit listener, both only while lines are kept; the timer keeps no process alive. One
 * sink serves a descriptor: two would tear each other's lines.
 */
import { E, errnoName } from '../sys/libc.ts';
import { type Output, outputTo, PIPE_BUF } from '../sys/output.ts';

/** What is kept for a descriptor that takes nothing: as much as a pipe holds, some 400 lines. */
export const PENDING_BYTES = 64 * 1024;
/** How often writing is tried again while nobody logs. */
const RETRY_MS = 100;

/** Errors after which a descriptor never takes a byte again. */
const FINAL = new Set([E.EPIPE, E.EBADF, E.ECONNRESET]);

/** Told how many lines were lost, once writing works again. It may write a line. */
export type LossReporter = (lost: number) => void;

export class LogSink {
  private readonly output: Output;
  private readonly complaints: Output;
  /** Lines that are not out; of the first one perhaps only the rest. */
  private readonly pending: Uint8Array[] = [];
  private pendingBytes = 0;
  /** Lines dropped since the last report. Above 0, all are dropped: the report comes first. */
  private lost = 0;
  private reportLoss: LossReporter = () => {};
  /** The last write failed. Only the timer tries again then: an error may be slow to come. */
  private failing = false;
  private closed = false;
  private readonly complained = new Set<number>();
  private timer: NodeJS.Timeout | null = null;
  private readonly onExit = () => this.flush();

  constructor(output: Output, complaints: Output) {
    this.output = output;
    this.complaints = complaints;
  }

  /** Whether every further line is dropped, for good. */
  get isClosed(): boolean {
    return this.closed;
  }

  /** Whether something is kept or a loss not yet reported. */
  get isHeld(): boolean {
    return this.timer !== null;
  }

  /**
   * Writes a line, newline included; keeps it or drops it when that is not possible. `reportLoss` is called if
   * lines were dropped and this or a later line can be written again.
   */
  write(line: string, reportLoss: LossReporter): void {
    if (!this.failing) this.flush();
    if (this.closed) return;
    this.reportLoss = reportLoss;
    const bytes = Buffer.from(line);
    // A line that does not fit any buffer may still fit the descriptor.
    const fits = this.pending.length === 0 || this.pendingBytes + bytes.length <= PENDING_BYTES;
    if (this.lost > 0 || !fits) {
      this.lost++;
      if (!this.failing) this.complain(E.EAGAIN);
      return;
    }
    this.pending.push(bytes);
    this.pendingBytes += bytes.length;
    if (!this.failing) this.flush();
  }

  /** Writes what is kept, as far as the descriptor takes it. */
  private flush(): void {
    this.failing = false;
    for (let line = this.pending[0]; line !== undefined; line = this.pending[0]) {
      const written = this.writePiece(line);
      if (written === 0) {
        this.hold();
        return;
      }
      this.pendingBytes -= written;
      if (written < line.length) this.pending[0] = line.subarray(written);
      else this.pending.shift();
    }
    this.release();
    const { lost } = this;
    this.lost = 0; // before the report, which writes a line
    if (lost > 0) this.reportLoss(lost);
  }

  /** Writes the beginning of `line`: how many bytes, 0 when not now or never. */
  private writePiece(line: Uint8Array): number {
    if (!this.output.isWritable()) return 0;
    const written = this.output.write(line.subarray(0, PIPE_BUF));
    if (written >= 0) return written;
    if (written !== -E.EAGAIN) this.fail(-written);
    return 0;
  }

  private fail(number: number): void {
    this.failing = true;
    this.complain(number);
    if (!FINAL.has(number)) return;
    this.closed = true;
    this.pending.length = 0;
    this.pendingBytes = 0;
  }

  /** Says once what is wrong. Standard error may be as bad: then nobody can be told. */
  private complain(number: number): void {
    if (this.complained.has(number) || !this.complaints.isWritable()) return;
    this.complained.add(number);
    const why = number === E.EAGAIN ? 'nobody reads it' : errnoName(number);
    this.complaints.write(
      Buffer.from(`kecho-pool: the log cannot be written (${why}); going on without it\n`),
    );
  }

  private hold(): void {
    if (this.closed) this.release();
    if (this.closed || this.timer !== null) return;
    this.timer = setInterval(() => this.flush(), RETRY_MS).unref();
    process.on('exit', this.onExit);
  }

  private release(): void {
    if (this.timer === null) return;
    clearInterval(this.timer);
    this.timer = null;
    process.removeListener('exit', this.onExit);
  }
}

let shared: LogSink | null = null;

/** The sink of this process's standard output, shared by all loggers. Complains on standard error. */
export function standardOutput(): LogSink {
  shared ??= new LogSink(outputTo(1), outputTo(2));
  return shared;
}
