/**
 * The echo server as the endpoint's thread sees it: what main has answered, and shared memory.
 *
 * Runs on the endpoint's thread. A main that is busy makes its figures late, never wrong, and does not hold an answer
 * up for longer than `lateMs`: from then on, until main answers, its last answer is used at once.
 *
 *   thread                                   main
 *   ------------------------------------     ------------------------------------
 *   request: asks, waits                     busy
 *   lateMs: answers with the last figures    busy
 *   request: answers with the last figures   busy
 *                                            answers the one question
 *   takes the answer
 *   request: asks, waits                     answers
 *
 * A main that is silent for `stuckMs` counts as stuck: it accepts no connections, and a supervisor that polls
 * /livez may restart the process.
 */
import { type SharedBuffers, SharedState } from '../memory/layout.ts';
import { sharedParts, withCurrentWorkers } from '../pool/shared-figures.ts';
import { ThreadActivity } from '../pool/thread-activity.ts';
import type { ServerStatus } from '../schema/status.ts';
import { monotonicMs } from '../sys/clock.ts';
import type { HandOff } from './hand-off.ts';
import { HandOffs } from './hand-offs.ts';
import { decodeError, type Taken, type ThreadData, type ToThread } from './messages.ts';
import type { EndpointSource } from './routes.ts';
import type { AdminThreads } from './series.ts';

/** Between two questions of a kind: any number of clients that ask for health costs main 100 answers a second. */
const INTERVAL_MS = 10;

/** A question to main, asked again only when it has been answered. */
class Question {
  private readonly send: () => void;
  private readonly lateMs: number;
  private open: { settled: Promise<void>; settle: () => void } | null = null;
  private sentMs = Number.NEGATIVE_INFINITY;

  constructor(send: () => void, lateMs: number) {
    this.send = send;
    this.lateMs = lateMs;
  }

  /** Resolves when main has answered, or is late. */
  ask(): Promise<void> {
    if (this.open === null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timers = [setTimeout(resolve, this.lateMs), this.sendInTurn()];
      const settle = () => {
        for (const timer of timers) clearTimeout(timer);
        resolve();
      };
      this.open = { settled: promise, settle };
    }
    return this.open.settled;
  }

  private sendInTurn(): NodeJS.Timeout | undefined {
    const waitMs = this.sentMs + INTERVAL_MS - monotonicMs();
    const sendNow = () => {
      this.sentMs = monotonicMs();
      this.send();
    };
    if (waitMs > 0) return setTimeout(sendNow, waitMs);
    sendNow();
    return undefined;
  }

  answered(): void {
    this.open?.settle();
    this.open = null;
  }
}

interface Memory {
  shared: SharedState;
  activity: ThreadActivity;
}

export class MainSource implements EndpointSource {
  private readonly ready: Question;
  private readonly statusQuestion: Question;
  private reason: string | null;
  private taken: Taken;
  private memory: Memory | null = null;
  private readonly handOffs = new HandOffs();
  private readonly stuckMs: number;
  private heardMs = monotonicMs();
  /** Main waits for the thread's end, and has said all. */
  private isOver = false;

  constructor({ lateMs, stuckMs, reason, taken }: ThreadData, ask: (what: 'ready' | 'status') => void) {
    this.ready = new Question(() => ask('ready'), lateMs);
    this.statusQuestion = new Question(() => ask('status'), lateMs);
    this.stuckMs = stuckMs;
    this.reason = reason;
    this.taken = taken;
    this.takeMemory(taken);
  }

  get threads(): AdminThreads {
    return this.taken.threads;
  }

  async stuckReason(): Promise<string | null> {
    if (this.isOver) return null;
    await this.ready.ask();
    return monotonicMs() - this.heardMs > this.stuckMs ? 'the main thread does not answer' : null;
  }

  async notReadyReason(): Promise<string | null> {
    return (await this.stuckReason()) ?? this.reason;
  }

  async status(): Promise<ServerStatus> {
    if (!this.isOver) await this.statusQuestion.ask();
    const { taken, memory } = this;
    if (taken.kind === 'failed') throw decodeError(taken.error);
    const snapshotAgeMs = Math.round(monotonicMs() - taken.atMs);
    if (taken.kind === 'whole') return { ...taken.status, snapshotAgeMs };
    const { status } = taken;
    const { shared, activity } = memory as Memory; // the first answer of this kind has it
    return {
      ...status,
      stats: withCurrentWorkers(status.stats, shared),
      ...sharedParts(shared, activity),
      snapshotAgeMs,
    };
  }

  handOff(): Promise<HandOff | null> {
    return this.handOffs.record(this.isOver ? null : (this.memory?.shared ?? null));
  }

  take(message: ToThread): void {
    this.reason = message.reason;
    this.heardMs = monotonicMs();
    if (message.kind === 'ready') this.ready.answered();
    else if (message.kind !== 'ping') this.takeStatus(message.taken);
    if (message.kind !== 'close') return;
    this.isOver = true;
    this.ready.answered();
  }

  private takeStatus(taken: Taken): void {
    this.taken = taken;
    this.takeMemory(taken);
    this.statusQuestion.answered();
  }

  private takeMemory(taken: Taken): void {
    if (taken.kind === 'main' && taken.buffers !== null) this.memory = memoryOf(taken.buffers);
  }
}

function memoryOf(buffers: SharedBuffers): Memory {
  const shared = new SharedState(buffers);
  return { shared, activity: new ThreadActivity(shared) };
}
