/**
 * How workers report ended connections to main, and how they wake it.
 *
 * Finished connections form a list through their own words, with its head in DONE_HEAD: workers push one at a time,
 * main takes all at once (a Treiber stack without single pops, so the ABA problem cannot arise). The list is unbounded
 * and in shared memory, so nothing is lost when a worker dies after the push.
 *
 * The bell: main sets BELL to SLEEPING when it has nothing left to do, and checks once more; a worker with work for main
 * sets it to RUNG, and notifies if main slept. A ring that main has yet to answer costs one load.
 *
 *   worker                                   main
 *   ------------------------------------     ------------------------------------
 *   pushes (or changes what main watches)    BELL = SLEEPING
 *   BELL = RUNG, was SLEEPING? notify        checks once more; work? does it
 *                                            waits on BELL
 */
import { BELL, type CloseReason, DONE_HEAD, NEXT, REASON, runsHandlers, type SharedState } from './layout.ts';

/** Values of BELL. */
export const RUNG = 0;
export const SLEEPING = 1;
/** Main will look by itself after a while, and need not be woken. */
export const RESTING = 2;

/** How a connection ended: a CloseReason, with an errno in the bits from 8 up. */
export type Outcome = number;

export function packOutcome(reason: CloseReason, errno: number): Outcome {
  return reason | (errno << 8);
}

export function unpackOutcome(outcome: Outcome): { reason: CloseReason; errno: number } {
  return { reason: (outcome & 0xff) as CloseReason, errno: outcome >> 8 };
}

/** Asks main to look; wakes it if it sleeps. */
export function ring(shared: SharedState): void {
  const { words } = shared;
  if (Atomics.load(words, BELL) === RUNG) return;
  if (Atomics.exchange(words, BELL, RUNG) === SLEEPING) Atomics.notify(words, BELL);
}

/** Hands a connection back to main. From here on only main may use the descriptor. */
export function pushDone(shared: SharedState, fd: number, outcome: Outcome): void {
  const { words, conns } = shared;
  conns[shared.connWord(fd, REASON)] = outcome;
  for (;;) {
    const head = Atomics.load(words, DONE_HEAD);
    conns[shared.connWord(fd, NEXT)] = head;
    if (Atomics.compareExchange(words, DONE_HEAD, head, fd) === head) return;
  }
}

/**
 * Main: takes all finished connections and calls `done` for each, in the order they ended. Returns how many. An error
 * from `done` is rethrown only after the last one, since the list cannot be taken again.
 */
export function takeDone(
  shared: SharedState,
  done: (fd: number, reason: CloseReason, errno: number) => void,
): number {
  const { words, conns } = shared;
  if (Atomics.load(words, DONE_HEAD) === 0) return 0;
  const fds: number[] = [];
  // Read every link before the first close: a closed descriptor may be reused by accept, and its words with it.
  for (
    let fd = Atomics.exchange(words, DONE_HEAD, 0);
    fd !== 0;
    fd = conns[shared.connWord(fd, NEXT)] as number
  ) {
    fds.push(fd);
  }
  const errors: unknown[] = [];
  for (const fd of fds.reverse()) {
    const { reason, errno } = unpackOutcome(conns[shared.connWord(fd, REASON)] as number);
    try {
      done(fd, reason, errno);
    } catch (error) {
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
  return fds.length;
}

/**
 * When rung within this time of its last look, main rests for as long and does the work in one batch, again and again
 * until it has not been rung during a rest. Peers do not notice, since their connections are already shut down; waking
 * main for each would cost more than the close. Where handlers run, a ring may also ask for another thread.
 */
const REST_MS = 5;
const REST_WITH_HANDLERS_MS = 1;

/** Main's side of the bell: calls `work` at each ring until closed. Does not keep the process alive. */
export class Bell {
  private readonly shared: SharedState;
  private readonly work: () => void;
  private readonly restMs: number;
  private closed = false;
  private lookedMs = 0;
  private timer: NodeJS.Timeout | null = null;

  constructor(shared: SharedState, work: () => void) {
    this.shared = shared;
    this.work = work;
    this.restMs = runsHandlers(shared.config) ? REST_WITH_HANDLERS_MS : REST_MS;
    this.sleep();
  }

  private sleep(): void {
    if (this.closed) return;
    const { words } = this.shared;
    Atomics.store(words, BELL, SLEEPING);
    this.runWork(); // check once more
    const wait = Atomics.waitAsync(words, BELL, SLEEPING);
    if (wait.async) void wait.value.then(() => this.rung());
    else this.lookLater(); // rung meanwhile: the event loop has other work, too
  }

  private rung(): void {
    const often = performance.now() - this.lookedMs < this.restMs;
    if (often && !this.closed) this.rest();
    else this.sleep();
  }

  private rest(): void {
    Atomics.store(this.shared.words, BELL, RESTING); // before the look: a later ring is for the next one
    this.runWork();
    this.lookLater();
  }

  /** Rethrows an error from `work`, but keeps the bell working. */
  private runWork(): void {
    this.lookedMs = performance.now();
    try {
      this.work();
    } catch (error) {
      this.lookLater();
      throw error;
    }
  }

  private lookLater(): void {
    this.timer = setTimeout(() => {
      if (Atomics.load(this.shared.words, BELL) === RUNG) this.rest();
      else this.sleep();
    }, this.restMs).unref();
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    ring(this.shared); // settles the pending wait, which would otherwise retain this object forever
  }
}
