/**
 * The clock of the simulated main thread. Timer callbacks run on that thread, after the jobs already posted to it.
 */
import type { Clock } from '../../src/sys/clock.ts';
import type { Scheduler } from './scheduler.ts';

export function virtualClock(scheduler: Scheduler, post: (job: () => void) => void): Clock {
  const later = (ms: number, isAwaited: boolean, action: () => void) => {
    let isCancelled = false;
    const job = () => {
      if (!isCancelled) action();
    };
    const timer = scheduler.after(ms, () => post(job), isAwaited);
    return () => {
      isCancelled = true;
      scheduler.timers.cancel(timer);
    };
  };
  return {
    now: () => scheduler.nowMs,
    after: (ms, action) => later(ms, true, action),
    every(ms, action) {
      let cancel = () => {};
      const arm = () => {
        cancel = later(ms, false, () => {
          arm();
          action();
        });
      };
      arm();
      return () => cancel();
    },
  };
}
