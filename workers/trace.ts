/**
 * Posts a worker's trace lines to main: echoes and service steps, at log level trace.
 *
 * Runs in a worker; main takes the lines in src/server/traces.ts. At most POSTED_MAX lines of a thread wait for main.
 * Beyond that, lines are dropped until main has taken all that wait: so the report of the loss stands where the lines
 * are missing, and one report covers many.
 */
import { CONN_ID, type SharedState, TRACES_LOST, TRACES_POSTED } from '../src/memory/layout.ts';
import type { DoneStep } from './service.ts';

/** Some 250 bytes each (measured), so 32 MB with the maximum number of threads. */
export const POSTED_MAX = 256;

export class Trace {
  private readonly shared: SharedState;
  private readonly worker: number;
  private readonly posted: number;
  private readonly lost: number;
  private readonly send: (message: object) => void;

  /** For the thread that has claimed the id `worker`; main has taken the lines of its predecessor. */
  constructor(shared: SharedState, worker: number, send: (message: object) => void) {
    this.shared = shared;
    this.worker = worker;
    this.send = send;
    this.posted = shared.workerWord(worker, TRACES_POSTED);
    this.lost = shared.workerWord(worker, TRACES_LOST);
    Atomics.store(shared.words, this.posted, 0);
  }

  echo(fd: number, bytes: number): void {
    if (this.hasRoom()) this.post(fd, { type: 'echo', bytes });
  }

  step(fd: number, step: DoneStep): void {
    if (this.hasRoom()) this.post(fd, { type: 'step', ...step });
  }

  /** False: the line is counted as lost. */
  private hasRoom(): boolean {
    const { words } = this.shared;
    const posted = Atomics.load(words, this.posted);
    if (posted <= 0 || (posted < POSTED_MAX && Atomics.load(words, this.lost) === 0)) return true;
    Atomics.add(words, this.lost, 1);
    return false;
  }

  private post(fd: number, what: object): void {
    const { words, connDoubles } = this.shared;
    const connection = connDoubles[this.shared.connDouble(fd, CONN_ID)];
    const lost = Atomics.exchange(words, this.lost, 0); // non-zero when main took all lines before these were counted
    Atomics.add(words, this.posted, 1);
    this.send({ lost, line: { worker: this.worker, connection, ...what } });
  }
}
