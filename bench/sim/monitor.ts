/**
 * The simulated thread of the monitor: the loop of workers/monitor.ts around the real Monitor, which observes the
 * simulated threads. Its looks may be late, and it may die.
 */
import { MONITOR } from '../../src/memory/layout.ts';
import { Monitor, type MonitorLimits, type Probe } from '../../src/memory/monitor.ts';
import type { KworkerThreads, StartedTask, TaskArgument, ThreadsOptions } from '../../src/pool/threads.ts';
import type { SimThread, Steps } from './scheduler.ts';
import { EXIT_MS } from './threads.ts';
import type { World } from './world.ts';

export class SimMonitor implements KworkerThreads {
  size = 0;
  made = 0;
  readonly starting = 0;
  /** Null when no monitor runs. */
  thread: SimThread | null = null;
  private readonly world: World;
  private readonly options: ThreadsOptions;

  constructor(world: World, options: ThreadsOptions) {
    this.world = world;
    this.options = options;
  }

  start(
    _name: string,
    _timeoutMs: number,
    settled: (error: unknown) => void,
    limits?: TaskArgument,
  ): StartedTask {
    const { world, options } = this;
    const threadId = ++this.made;
    this.size++;
    const ended = () => this.ended(threadId, settled);
    this.thread = world.scheduler.spawn('monitor', this.run(limits as MonitorLimits), ended);
    world.observer?.monitorUp();
    world.post(() => options.onUp());
    return { isUp() {}, abort: () => false };
  }

  private *run(limits: MonitorLimits): Steps {
    const { world, options } = this;
    const { shared, scheduler, worklists } = world;
    const monitor = new Monitor({
      ...limits,
      shared,
      clock: world.clock,
      probe: world.options.canObserve ? this.probe : null,
      removeFromWorklist: (pool, fd) => worklists.delete(pool, fd),
      tell: (news) => world.post(() => options.onMessage(news)),
    });
    for (;;) {
      const timeoutMs = monitor.look();
      const value = monitor.isLooking ? 1 : 0;
      if (Atomics.load(shared.words, MONITOR) === value)
        yield { kind: 'wait', on: scheduler.waitersOf(MONITOR), timeoutMs };
      yield* this.beLate();
    }
  }

  private *beLate(): Steps {
    const { random, options } = this.world;
    if (options.lookLateMs > 0)
      yield { kind: 'wait', on: null, timeoutMs: random.next() * options.lookLateMs };
  }

  private readonly probe: Probe = {
    cpuMs: (id) => {
      const thread = this.world.threadOf(id);
      return thread === null ? Number.NaN : this.world.scheduler.cpuMs(thread);
    },
    isAsleep: (id) => {
      const thread = this.world.threadOf(id);
      return thread !== null && this.world.scheduler.isAsleep(thread);
    },
  };

  private ended(threadId: number, settled: (error: unknown) => void): void {
    const { world, options } = this;
    const error = new Error('died');
    this.thread = null;
    world.observer?.monitorDied();
    const exited = () => {
      this.size--;
      settled(error);
      options.onExit(threadId, { error, ordered: false, wasUp: true });
      world.observer?.monitorDeathHandled();
    };
    world.scheduler.after(world.random.below(EXIT_MS), () => world.post(exited));
  }

  terminate(): boolean {
    return false;
  }

  close(): Promise<boolean> {
    return Promise.resolve(true);
  }
}
