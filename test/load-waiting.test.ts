/**
 * Goal: the load generator wakes when a request is due, not at the next whole millisecond, and also works on a kernel
 * without epoll_pwait2(2).
 * Method: waits on an empty epoll instance, of which the shortest counts; a system call that no kernel has.
 */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Handler, Shared } from '../bench/load/client.ts';
import { Pump } from '../bench/load/pump.ts';
import { EventList, epollCreate, epollWait, epollWaitFine } from '../src/sys/epoll.ts';
import { libc } from '../src/sys/libc.ts';
import { closeFd } from '../src/sys/socket.ts';

const WAIT_MS = 0.3;
const NO_SYSTEM_CALL = 9_999;

function epoll(): number {
  const epfd = epollCreate();
  onTestFinished(() => closeFd(epfd));
  return epfd;
}

/** A kernel of before Linux 5.11. */
function withoutFineWaits(): { calls: () => number } {
  const original = libc.epoll_pwait2;
  const spy = vi
    .spyOn(libc as { epoll_pwait2: typeof original }, 'epoll_pwait2')
    .mockImplementation((_, ...rest) => original(NO_SYSTEM_CALL as never, ...rest));
  onTestFinished(() => spy.mockRestore());
  return { calls: () => spy.mock.calls.length };
}

/** Durations of waits; other processes only make them longer. */
function durations(wait: () => unknown): number[] {
  return Array.from({ length: 300 }, () => {
    const sinceMs = performance.now();
    wait();
    return performance.now() - sinceMs;
  });
}

describe('a fine wait', () => {
  const events = new EventList(1);

  it('ends after a fraction of a millisecond, which a wait in milliseconds cannot', () => {
    const epfd = epoll();
    const fine = durations(() => expect(epollWaitFine(epfd, events, WAIT_MS)).toBe(0));
    expect(Math.min(...fine)).toBeGreaterThanOrEqual(WAIT_MS);
    expect(Math.min(...fine)).toBeLessThan(0.9);
    expect(Math.min(...durations(() => epollWait(epfd, events, 1)))).toBeGreaterThanOrEqual(0.99);
  });

  it('is null where the kernel has no such call', () => {
    withoutFineWaits();
    expect(epollWaitFine(epoll(), events, WAIT_MS)).toBeNull();
  });
});

describe('the event loop of the generator', () => {
  /** Due WAIT_MS from when it was last asked. */
  function run(): { times: number[] } {
    const times: number[] = [];
    const handler: Handler = {
      event: () => {},
      tick: () => {},
      outstanding: () => 1, // an answer, for which it must not stop listening
      due: (nowMs) => {
        times.push(nowMs);
        return WAIT_MS;
      },
    };
    const tally = { serverCost: { sample: () => {} } };
    const shared = { epfd: epoll(), tally, live: { tick: () => {} } } as unknown as Shared;
    new Pump(shared, handler).run(60_000, () => times.length > 300);
    return { times };
  }

  function shortest(times: readonly number[]): number {
    return Math.min(...times.slice(1).map((ms, i) => ms - (times[i] ?? Number.NaN)));
  }

  it('asks again when work is due', () => {
    const gap = shortest(run().times);
    expect(gap).toBeGreaterThanOrEqual(WAIT_MS);
    expect(gap).toBeLessThan(0.9);
  });

  it('falls back to whole milliseconds, and asks the kernel only once', () => {
    const { calls } = withoutFineWaits();
    expect(shortest(run().times)).toBeGreaterThanOrEqual(0.99);
    expect(calls()).toBe(1);
  });
});
