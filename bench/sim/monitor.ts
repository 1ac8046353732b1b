/**
 * The simulated thread of the monitor: the loop of workers/monitor.ts around the real Monitor. It never dies.
 *
 * It cannot observe the simulated threads: it goes by declared sleeps and by the clock.
 */
import { MONITOR } from '../../src/memory/layout.ts';
import { Monitor, type MonitorLimits } from '../../src/memory/monitor.ts';
import type { KworkerThreads, StartedTask, TaskArgument, ThreadsOptions } from '../../src/pool/threads.ts';
import type { Steps } from './scheduler.ts';
import type { World } from './world.ts';

export class SimMonitor implements KworkerThreads {
  size = 0;
  made = 0;
  readonly starting = 0;
  private readonly world: World;
  private readonly options: ThreadsOptions;

  constructor(world: World, options: ThreadsOptions) {
    this.world = world;
    this.options = options;
  }

  start(_name: string, _timeoutMs: number, _settled: unknown, limits?: TaskArgument): StartedTask {
    this.size++;
    this.made++;
    this.world.scheduler.spawn('monitor', this.run(limits as MonitorLimits), () => {});
    this.world.post(() => this.options.onUp());
    return { isUp() {}, abort() {} };
  }

  private *run(limits: MonitorLimits): Steps {
    const { world, options } = this;
    const { shared, scheduler, worklists } = world;
    const monitor = new Monitor({
      ...limits,
      shared,
      clock: world.clock,
      probe: null,
      removeFromWorklist: (pool, fd) => worklists.delete(pool, fd),
      tell: (news) => world.post(() => options.onMessage(news)),
    });
    for (;;) {
      const timeoutMs = monitor.look();
      const value = monitor.isLooking ? 1 : 0;
      if (Atomics.load(shared.words, MONITOR) !== value) continue;
      yield { kind: 'wait', on: scheduler.waitersOf(MONITOR), timeoutMs };
    }
  }

  terminate(): boolean {
    return false;
  }

  close(): Promise<boolean> {
    return Promise.resolve(true);
  }
}
