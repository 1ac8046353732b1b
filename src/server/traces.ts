/**
 * Logs the trace lines that workers post (workers/trace.ts), and where lines were dropped, how many.
 *
 * Main thread only. It owns nothing. A worker that has begun to drop lines keeps dropping until main has taken all that
 * it had posted, so the loss is reported after the last one taken:
 *
 *   worker                                   main
 *   ------------------------------------     ------------------------------------
 *   POSTED = 256, or LOST > 0: drops         takes a line, logs it
 *   LOST++                                   POSTED = 1: takes LOST, reports it
 *                                            POSTED--
 *   (LOST++ too late for main:
 *   the next line posted reports it)
 */
import { type SharedState, TRACES_LOST, TRACES_POSTED, WORKERS_HIGH } from '../memory/layout.ts';

interface TraceMessage {
  /** Lines dropped before this one and not yet reported. */
  lost: number;
  line: { worker: number };
}

/** The logger methods used here. */
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

  /** Logs a message that a worker has posted. */
  take(message: unknown): void {
    const { lost, line } = message as TraceMessage;
    const { words } = this.shared;
    const posted = this.shared.workerWord(line.worker, TRACES_POSTED);
    this.report(line.worker, lost);
    this.log.trace(line, 'worker');
    if (Atomics.load(words, posted) === 1) this.reportLost(line.worker);
    Atomics.sub(words, posted, 1);
  }

  /** Reports remaining losses; all threads have ended. */
  close(): void {
    const high = Atomics.load(this.shared.words, WORKERS_HIGH);
    for (let worker = 1; worker <= high; worker++) this.reportLost(worker);
  }

  private reportLost(worker: number): void {
    const { words } = this.shared;
    this.report(worker, Atomics.exchange(words, this.shared.workerWord(worker, TRACES_LOST), 0));
  }

  private report(worker: number, lost: number): void {
    if (lost > 0) this.log.warn({ worker, lost }, 'trace lines dropped');
  }
}
