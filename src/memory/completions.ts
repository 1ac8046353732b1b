/**
 * How a worker tells main that a connection has ended, and how main is woken.
 *
 * Finished connections form a list through their own words, with its head in DONE_HEAD: workers push one at
 * a time, main takes all at once (a Treiber stack without single pops, so the ABA problem cannot arise).
 * It has no capacity and lives in shared memory, so nothing is lost when a worker dies after the push.
 *
 * The bell: main sets BELL to 1 when it has nothing left to do and looks once more; whoever has work for
 * it swaps 1 -> 0 and notifies. Rings while main is awake cost one load.
 *
 *   worker                                   main
 *   ------------------------------------     ------------------------------------
 *   pushes (or changes what main watches)    BELL = 1
 *   BELL = 1? swap to 0, notify              looks once more; work? BELL = 0, does it
 *                                            waits on BELL
 */
import { BELL, type CloseReason, DONE_HEAD, NEXT, REASON, type SharedState } from './layout.ts';

/** How a connection ended, in one word: a CloseReason and, for an error, its errno. Without errno it is the reason. */
export type Outcome = number;

export function packOutcome(reason: CloseReason, errno: number): Outcome {
  return reason | (errno << 8);
}

export function unpackOutcome(outcome: Outcome): { reason: CloseReason; errno: number } {
  return { reason: (outcome & 0xff) as CloseReason, errno: outcome >> 8 };
}

/** Wakes main if it sleeps. Cheap when it does not. */
export function ring(shared: SharedState): void {
  const { words } = shared;
  if (Atomics.load(words, BELL) === 1 && Atomics.compareExchange(words, BELL, 1, 0) === 1) {
    Atomics.notify(words, BELL);
  }
}

/** Hands a connection back to main. Nobody may touch the descriptor afterwards but main. */
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
 * Main: takes all finished connections, in the order they ended, and calls `done` for each. Returns how many. What `done`
 * throws for one is thrown on when all have had their turn: nothing else would bring the others back.
 */
export function takeDone(
  shared: SharedState,
  done: (fd: number, reason: CloseReason, errno: number) => void,
): number {
  const { words, conns } = shared;
  if (Atomics.load(words, DONE_HEAD) === 0) return 0;
  const fds: number[] = [];
  // Read every link before the first close: a closed number may be accepted again and its words reused.
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
 * Rung more often than this, main does not listen for as long: what comes meanwhile is one piece of work. Peers
 * notice nothing, their connections are shut down already; waking main for each costs more than the closing.
 */
const REST_MS = 1;

/** Main's side of the bell: calls `work` whenever it rings, until closed. Keeps no process alive. */
export class Bell {
  private readonly shared: SharedState;
  private readonly work: () => void;
  private closed = false;
  private lastRungMs = 0;
  private timer: NodeJS.Timeout | null = null;

  constructor(shared: SharedState, work: () => void) {
    this.shared = shared;
    this.work = work;
    this.sleep();
  }

  private sleep(): void {
    const { words } = this.shared;
    while (!this.closed) {
      Atomics.store(words, BELL, 1);
      this.look(); // once more
      const wait = Atomics.waitAsync(words, BELL, 1);
      if (wait.async) {
        void wait.value.then(() => this.rung());
        return;
      }
    }
  }

  private rung(): void {
    const nowMs = performance.now();
    const often = nowMs - this.lastRungMs < REST_MS;
    this.lastRungMs = nowMs;
    if (!often || this.closed) {
      this.sleep();
      return;
    }
    this.look();
    this.sleepLater();
  }

  /** What the work throws is its caller's, and does not keep the bell from being heard again. */
  private look(): void {
    try {
      this.work();
    } catch (error) {
      this.sleepLater();
      throw error;
    }
  }

  private sleepLater(): void {
    this.timer = setTimeout(() => this.sleep(), REST_MS).unref();
  }

  close(): void {
    this.closed = true;
    if (this.timer !== null) clearTimeout(this.timer);
    ring(this.shared); // settles the pending wait, which would otherwise hold this object for ever
  }
}
