/**
 * Simulated threads instead of src/pool/threads.ts and Piscina: tasks wait in a queue; a thread loads, claims a worker
 * id, takes tasks from the front, and ends when the queue is empty. Creation takes time and may fail.
 *
 * Main learns of a thread's end with a delay; its task may settle before or after that.
 */
import { THREAD_ID } from '../../src/memory/layout.ts';
import type { KworkerThreads, StartedTask, TaskName, ThreadsOptions } from '../../src/pool/threads.ts';
import { afterRunning } from '../../src/sys/clock.ts';
import { FOREVER, type SimThread, type Steps, type Waiters } from './scheduler.ts';
import { SimWorker } from './worker.ts';
import type { World } from './world.ts';

/** A thread's end reaches main within this time. */
export const EXIT_MS = 3;
/** A terminated thread passes fewer such places before it dies, and dies after this time at the latest. */
const PLACES_TO_LIVE = 40;
const TERMINATE_MS = 1000;

interface Task {
  readonly name: TaskName;
  readonly argument: number;
  readonly settle: (error: unknown) => void;
}

/** A thread as main knows it. */
interface Member {
  readonly threadId: number;
  thread: SimThread | null;
  /** Null until it has loaded. */
  worker: SimWorker | null;
  task: Task | null;
  /** The queue had no task for it, so it ends. */
  isDismissed: boolean;
  readonly mailbox: Waiters;
  error: Error | null;
}

export class SimThreads implements KworkerThreads {
  made = 0;
  /** Threads that could not be created or did not load. */
  failed = 0;
  private readonly world: World;
  private readonly options: ThreadsOptions;
  private readonly alive = new Map<number, Member>();
  private readonly loading = new Set<number>();
  private readonly ordered = new Set<number>();
  /** Worker ids of the dead threads whose end main has learned of and not handled, by thread. */
  private readonly unhandled = new Map<number, number>();
  /** The workers of the threads that have loaded and not ended. */
  readonly workers = new Map<SimWorker, SimThread>();

  constructor(world: World, options: ThreadsOptions) {
    this.world = world;
    this.options = options;
  }

  get size(): number {
    return this.alive.size;
  }

  /** The thread of a worker; null when it has ended. */
  threadOf(workerId: number): SimThread | null {
    for (const [worker, thread] of this.workers) if (worker.id === workerId) return thread;
    return null;
  }

  get starting(): number {
    return this.loading.size;
  }

  start(name: TaskName, timeoutMs: number, settled: (error: unknown) => void, argument = 0): StartedTask {
    const { queue } = this.options;
    const { world } = this;
    const settle = (error: unknown) => {
      off();
      world.post(() => settled(error));
    };
    const task: Task = { name, argument, settle };
    const abort = (reason: unknown) => {
      if (!queue.has(task)) return false;
      queue.remove(task);
      settle(reason);
      return true;
    };
    const off = afterRunning(timeoutMs, () => abort(new Error('no thread in time')), world.clock);
    queue.push(task);
    try {
      this.make();
    } catch (error) {
      abort(error);
    }
    return { isUp: off, abort };
  }

  private make(): void {
    if (this.fails()) {
      this.failed++;
      throw new Error('no thread (injected failure)');
    }
    const threadId = ++this.made;
    const member: Member = {
      threadId,
      thread: null,
      worker: null,
      task: null,
      isDismissed: false,
      mailbox: new Set(),
      error: null,
    };
    const ended = (died: boolean) => this.ended(member, died);
    member.thread = this.world.scheduler.spawn(`thread ${threadId}`, this.life(member), ended);
    this.alive.set(threadId, member);
    this.loading.add(threadId);
    this.options.onMade(threadId);
  }

  private fails(): boolean {
    const { isUp, random, options } = this.world;
    return isUp && random.chance(options.createFails / 2);
  }

  /** The code of the thread. */
  private *life(member: Member): Steps {
    const { world } = this;
    yield { kind: 'wait', on: null, timeoutMs: world.options.createMs };
    const worker = this.fails() ? null : SimWorker.claim(world, member.threadId);
    if (worker === null) {
      this.failed++;
      member.error = new Error('did not load');
      return;
    }
    member.worker = worker;
    this.workers.set(worker, member.thread as SimThread); // it runs, so it has been spawned
    world.post(() => this.cameUp(member));
    for (;;) {
      while (member.task === null) {
        if (member.isDismissed) return;
        yield { kind: 'wait', on: member.mailbox, timeoutMs: FOREVER };
      }
      const { name, argument, settle } = member.task;
      yield* name === 'rescuer' ? worker.rescuer() : worker.kworker(argument);
      member.task = null;
      world.post(() => {
        settle(null);
        this.give(member);
      });
    }
  }

  private cameUp(member: Member): void {
    this.loading.delete(member.threadId);
    this.give(member);
    this.options.onUp();
  }

  private give(member: Member): void {
    member.task = this.options.queue.shift() as Task | null; // start() is the only one to push
    member.isDismissed = member.task === null;
    this.world.scheduler.wake(member.mailbox);
  }

  private ended(member: Member, died: boolean): void {
    const { world } = this;
    const { worker, threadId } = member;
    if (died && !this.ordered.has(threadId)) member.error = new Error('died');
    if (worker !== null) {
      this.workers.delete(worker);
      if (died) world.observer?.died(worker.id);
    }
    if (died) world.died++;
    if (world.random.chance(0.5)) world.post(() => this.loseTask(member));
    const exit = () => world.post(() => this.exited(member, died));
    world.scheduler.after(world.random.below(EXIT_MS), exit);
  }

  private loseTask(member: Member): void {
    member.task?.settle(member.error ?? new Error('terminated'));
    member.task = null;
  }

  private exited(member: Member, died: boolean): void {
    const { threadId, worker, error } = member;
    this.alive.delete(threadId);
    const wasUp = !this.loading.delete(threadId);
    this.loseTask(member);
    if (died && worker !== null) this.unhandled.set(threadId, worker.id);
    this.options.onExit(threadId, { error, ordered: this.ordered.delete(threadId), wasUp });
  }

  /**
   * After each job of main: which deaths it has handled. A death may take several jobs, as main begins again while the
   * monitor, perhaps a dead one, has the worker's slot; the last one frees the id.
   */
  noteHandled(lostFd: number): void {
    const { shared, observer } = this.world;
    for (const [threadId, workerId] of this.unhandled) {
      if (shared.words[shared.workerWord(workerId, THREAD_ID)] === threadId) continue;
      this.unhandled.delete(threadId);
      observer?.deathHandled(workerId, lostFd);
    }
  }

  /** Dooms the thread, as worker.terminate() does. */
  terminate(threadId: number): boolean {
    const thread = this.alive.get(threadId)?.thread ?? null;
    if (thread === null) return false;
    const { scheduler, random } = this.world;
    this.ordered.add(threadId);
    scheduler.doom(thread, random.below(PLACES_TO_LIVE));
    scheduler.after(TERMINATE_MS, () => scheduler.doom(thread, 0));
    return true;
  }

  close(): Promise<boolean> {
    return Promise.resolve(true);
  }
}
