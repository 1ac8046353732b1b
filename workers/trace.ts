/**
 * A worker's trace lines on their way to main: single echoes and steps of services, at log level trace.
 *
 * Runs in a worker; main takes the lines in src/server/traces.ts. At most POSTED_MAX lines of a thread wait for main. When
 * main is slower, lines are dropped, and so are all later ones until main has taken those that wait: so the line that
 * tells of the loss stands where lines are missing, and a main that stays slow gets one such line for many others.
 */
import { CONN_ID, type SharedState, TRACES_LOST, TRACES_POSTED } from '../src/memory/layout.ts';
import type { DoneStep } from './service.ts';

/** Some 250 bytes each (measured), so 32 MB with the largest number of threads. */
export const POSTED_MAX = 256;

export class Trace {
  private readonly shared: SharedState;
  private readonly worker: number;
  private readonly posted: number;
  private readonly lost: number;
  private readonly send: (message: object) => void;

  /** For the thread that has claimed the id `worker`: main has taken the lines of the one before it. */
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

  /** False: the line is dropped, and counted. */
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
    const lost = Atomics.exchange(words, this.lost, 0); // when main had taken all before they were counted
    Atomics.add(words, this.posted, 1);
    this.send({ lost, line: { worker: this.worker, connection, ...what } });
  }
}
