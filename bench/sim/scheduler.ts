/**
 * Simulated threads: generators that share one virtual clock.
 *
 * A thread runs until it yields to others, burns, or waits for a word, a worklist or a time. Whatever can happen at the
 * current time is in `ready`; the next one is drawn at random. When `ready` is empty, `onQuiet` may check everything,
 * and the clock advances.
 *
 * During run(), Atomics.notify wakes simulated threads, and before each atomic operation of the code under test another
 * thread may cut in for one of its steps (which may be cut into again, up to MAX_DEPTH). So the real transitions
 * interleave at the granularity of real threads, with one exception: an interrupted thread continues only when the step
 * that cut in has paused.
 */
import type { Cores, RunningBurn } from './cores.ts';
import type { Random } from './random.ts';
import { type Timer, Timers } from './timers.ts';

export type Pause =
  /** Lets others run first. */
  | { kind: 'step' }
  | { kind: 'burn'; ms: number }
  /** Until woken through `on` or timed out. */
  | { kind: 'wait'; on: Waiters | null; timeoutMs: number };
export type Steps<T = void> = Generator<Pause, T, void>;
export type Waiters = Set<SimThread>;

export const STEP: Pause = { kind: 'step' };
export const FOREVER = Number.POSITIVE_INFINITY;

/** How deep a step may be cut into. */
const MAX_DEPTH = 3;
/** More steps than this at one virtual time are a livelock. */
const STEPS_PER_MOMENT = 1_000_000;
const HOOKED = ['load', 'store', 'add', 'sub', 'and', 'or', 'exchange', 'compareExchange'] as const;
/** A predicate on the atomic operation that is about to happen. */
export type AtomicPlace = (operation: string, args: readonly unknown[]) => boolean;
type AtomicsTable = Record<string, (...args: unknown[]) => unknown>;

/** Thrown to unwind the code of a thread that dies. */
class ThreadDied extends Error {}

export class SimThread {
  readonly name: string;
  readonly steps: Steps;
  readonly onEnd: (died: boolean) => void;
  state: 'ready' | 'running' | 'waiting' | 'ended' = 'ready';
  /** Places where it may die that it still passes; Infinity unless it is doomed. */
  livesFor = Number.POSITIVE_INFINITY;
  /** If not null, it dies only before such an operation. */
  diesBefore: AtomicPlace | null = null;
  /** Cancels its wait. */
  cancel: (() => void) | null = null;
  /** What it computes; null while it does not. */
  burn: RunningBurn | null = null;
  /** CPU time of its earlier burns. */
  burnedMs = 0;

  constructor(name: string, steps: Steps, onEnd: (died: boolean) => void) {
    this.name = name;
    this.steps = steps;
    this.onEnd = onEnd;
  }
}

export interface SchedulerOptions {
  random: Random;
  /** Makes the processors on this scheduler's timers. */
  cores: (timers: Timers) => Cores;
  /** Probability that another thread cuts in before an atomic operation. */
  cutIn: number;
}

export class Scheduler {
  readonly timers = new Timers();
  nowMs = 0;
  /** Steps run so far. */
  steps = 0;
  /** Whether a thread may die before this atomic operation. */
  mayDieBefore: AtomicPlace = () => true;
  /** Called when nothing is left to run at the current time. */
  onQuiet = () => {};
  private readonly options: SchedulerOptions;
  private readonly cores: Cores;
  private readonly ready: (SimThread | (() => void))[] = [];
  /** The threads whose steps are running, innermost last; null for a plain function. */
  private readonly running: (SimThread | null)[] = [];
  private stopped = false;
  private readonly waitersByWord = new Map<number, Waiters>();

  constructor(options: SchedulerOptions) {
    this.options = options;
    this.cores = options.cores(this.timers);
  }

  spawn(name: string, steps: Steps, onEnd: (died: boolean) => void): SimThread {
    const thread = new SimThread(name, steps, onEnd);
    this.ready.push(thread);
    return thread;
  }

  /** Runs `run` at that time, in random order with other events of the same time. */
  at(atMs: number, run: () => void, isAwaited = true): Timer {
    return this.timers.add(Math.max(atMs, this.nowMs), run, isAwaited);
  }

  after(ms: number, run: () => void, isAwaited = true): Timer {
    return this.at(this.nowMs + ms, run, isAwaited);
  }

  /** The threads that sleep on a word of shared memory. */
  waitersOf(word: number): Waiters {
    let waiters = this.waitersByWord.get(word);
    if (waiters === undefined) {
      waiters = new Set();
      this.waitersByWord.set(word, waiters);
    }
    return waiters;
  }

  wake(waiters: Waiters): void {
    for (const thread of waiters) this.resume(thread);
  }

  /** CPU time of the thread. Only burns take any. */
  cpuMs({ burn, burnedMs }: SimThread): number {
    return burnedMs + (burn?.cpuMs(this.nowMs) ?? 0);
  }

  /** Whether the thread sleeps, rather than runs or waits for a processor. */
  isAsleep({ state, burn }: SimThread): boolean {
    return state === 'waiting' && burn === null;
  }

  /**
   * The thread dies: at once if it waits, else after passing `livesFor` places where V8 might end it. With `before`,
   * only before such an operation, if it reaches one.
   */
  doom(thread: SimThread, livesFor: number, before: AtomicPlace | null = null): void {
    thread.diesBefore = before;
    if (before === null && thread.state === 'waiting') {
      this.release(thread);
      this.end(thread, true);
    } else thread.livesFor = livesFor;
  }

  /** A place in simulated code where another thread may cut in and the current one may die. */
  cut(): void {
    const current = this.running.at(-1);
    if (current === undefined) return;
    if (current !== null && current.diesBefore === null) this.passOrDie(current);
    this.maybeCutIn();
  }

  /** Ends the run after the events of the current time. */
  stop(): void {
    this.stopped = true;
  }

  /** Runs until no awaited event is left. May be called again. */
  run(): void {
    const restore = this.hookAtomics();
    try {
      for (;;) {
        this.runMoment();
        this.onQuiet();
        if (this.stopped) return;
        const nextMs = this.timers.nextMs();
        if (nextMs === Number.POSITIVE_INFINITY) return;
        this.nowMs = nextMs;
        this.timers.takeNext((run) => this.ready.push(run));
      }
    } finally {
      restore();
    }
  }

  private runMoment(): void {
    const limit = this.steps + STEPS_PER_MOMENT;
    while (this.ready.length > 0) {
      this.runOne();
      if (this.steps > limit) throw new Error(`at ${this.nowMs} ms: livelock`);
    }
  }

  private runOne(): void {
    const i = this.options.random.below(this.ready.length);
    const next = this.ready[i];
    const last = this.ready.pop();
    if (next === undefined || last === undefined) return;
    if (next !== last) this.ready[i] = last;
    this.steps++;
    if (typeof next !== 'function') this.advance(next);
    else {
      this.running.push(null);
      next();
      this.running.pop();
    }
  }

  private advance(thread: SimThread): void {
    thread.state = 'running';
    this.running.push(thread);
    let pause: Pause | null = null;
    let died = false;
    try {
      if (thread.diesBefore === null) this.passOrDie(thread);
      const result = thread.steps.next();
      if (!result.done) pause = result.value;
    } catch (error) {
      if (!(error instanceof ThreadDied)) throw error;
      died = true;
    }
    this.running.pop();
    if (pause === null) this.end(thread, died);
    else this.hold(thread, pause);
  }

  private hold(thread: SimThread, pause: Pause): void {
    thread.state = 'waiting';
    if (pause.kind === 'step') this.resume(thread);
    else if (pause.kind === 'burn') {
      thread.burn = this.cores.burn(this.nowMs, pause.ms, () => this.resume(thread));
    } else {
      const { on, timeoutMs } = pause;
      const timer = timeoutMs === FOREVER ? null : this.after(timeoutMs, () => this.resume(thread));
      on?.add(thread);
      thread.cancel = () => {
        if (timer !== null) this.timers.cancel(timer);
        on?.delete(thread);
      };
    }
  }

  private resume(thread: SimThread): void {
    if (thread.state !== 'waiting') return;
    this.release(thread);
    thread.state = 'ready';
    this.ready.push(thread);
  }

  /** Ends its wait or burn. */
  private release(thread: SimThread): void {
    thread.cancel?.();
    thread.cancel = null;
    thread.burnedMs = this.cpuMs(thread);
    thread.burn?.cancel();
    thread.burn = null;
  }

  private end(thread: SimThread, died: boolean): void {
    thread.state = 'ended';
    thread.onEnd(died);
  }

  private passOrDie(thread: SimThread): void {
    if (thread.livesFor === Number.POSITIVE_INFINITY) return;
    if (thread.livesFor-- <= 0) throw new ThreadDied(thread.name);
  }

  private mayDie(thread: SimThread, operation: string, args: readonly unknown[]): boolean {
    if (thread.livesFor === Number.POSITIVE_INFINITY) return false;
    const place = thread.diesBefore ?? this.mayDieBefore;
    return place(operation, args);
  }

  private maybeCutIn(): void {
    const { random, cutIn } = this.options;
    if (this.running.length <= MAX_DEPTH && this.ready.length > 0 && random.chance(cutIn)) this.runOne();
  }

  private before(operation: string, args: readonly unknown[]): void {
    const current = this.running.at(-1);
    if (current === undefined) return;
    if (current !== null && this.mayDie(current, operation, args)) this.passOrDie(current);
    this.maybeCutIn();
  }

  /** Replaces functions of Atomics. Returns a function that restores them. */
  private hookAtomics(): () => void {
    const table = Atomics as unknown as AtomicsTable;
    const originals = [...HOOKED, 'notify'].map((name) => [name, table[name]] as const);
    if (this.options.cutIn > 0) {
      for (const [name, original] of originals) {
        table[name] = (...args) => {
          this.before(name, args);
          return original?.(...args);
        };
      }
    }
    table.notify = (_words, word) => {
      const waiters = this.waitersByWord.get(word as number);
      const count = waiters?.size ?? 0;
      if (waiters !== undefined) this.wake(waiters);
      return count;
    };
    return () => {
      for (const [name, original] of originals) if (original !== undefined) table[name] = original;
    };
  }
}
