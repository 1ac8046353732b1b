/**
 * Trace lines that workers have posted (workers/trace.ts): into the log, with the number of those that were dropped at
 * the place where they are missing.
 *
 * Main thread only. It owns nothing. A worker begins to drop lines while others of it wait for main, and goes on until
 * main has taken them all, so the last one taken is where the loss is reported:
 *
 *   worker                                   main
 *   ------------------------------------     ------------------------------------
 *   POSTED = 256, or LOST > 0: drops         takes a line, logs it
 *   LOST++                                   POSTED = 1: takes LOST, reports it
 *                                            POSTED--
 *   (LOST++ too late for main:
 *   the next line that it posts has it)
 */
import { type SharedState, TRACES_LOST, TRACES_POSTED, WORKERS_HIGH } from '../memory/layout.ts';

interface TraceMessage {
  /** Lines dropped before this one that main does not know of. */
  lost: number;
  line: { worker: number };
}

/** What is called of a logger. */
interface TraceLog {
  trace: (line: object, message: string) => void;
  warn: (line: object, message: string) => void;
}

export class Traces {
  private readonly shared: SharedState;
  private readonly log: TraceLog;

  constructor(shared: SharedState, log: TraceLog) {
    this.shared = shared;
    this.log = log;
  }

  /** A worker posted this. */
  take(message: unknown): void {
    const { lost, line } = message as TraceMessage;
    const { words } = this.shared;
    const posted = this.shared.workerWord(line.worker, TRACES_POSTED);
    this.report(line.worker, lost);
    this.log.trace(line, 'worker');
    if (Atomics.load(words, posted) === 1) this.reportLost(line.worker);
    Atomics.sub(words, posted, 1);
  }

  /** All threads have ended: reports what is left. */
  close(): void {
    const high = Atomics.load(this.shared.words, WORKERS_HIGH);
    for (let worker = 1; worker <= high; worker++) this.reportLost(worker);
  }

  private reportLost(worker: number): void {
    const { words } = this.shared;
    this.report(worker, Atomics.exchange(words, this.shared.workerWord(worker, TRACES_LOST), 0));
  }

  private report(worker: number, lost: number): void {
    if (lost > 0) this.log.warn({ worker, lost }, 'trace lines were lost');
  }
}
