/**
 * Goal: the time during which the process is stopped (SIGSTOP) counts towards no limit on workers and peers.
 * Method: clock, timer and monitor on a simulated clock and fake timers, where a stop is a jump of the clock; and the
 * program, stopped for longer than its limits.
 */
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { ITEM_FD, RUN_SLOT, STARTED, STATE, stateIn, WorkerState } from '../src/memory/layout.ts';
import { Monitor } from '../src/memory/monitor.ts';
import { itemWord } from '../src/memory/run-slot.ts';
import { afterRunning, processClock, RunningTime } from '../src/sys/clock.ts';
import { startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { FD, fresh } from './support/slot-memory.ts';
import { pause, until } from './support/wait.ts';

describe('on a clock that jumps', () => {
  let nowMs = 0;

  beforeEach(() => {
    nowMs = 1000;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    vi.spyOn(process.hrtime, 'bigint').mockImplementation(() => BigInt(Math.round(nowMs * 1e6)));
  });

  afterEach(() => {
    vi.useRealTimers();
    vi.restoreAllMocks();
  });

  /** The process runs for `ms`. */
  function runs(ms: number): void {
    for (let i = 0; i < ms; i++) {
      nowMs++;
      vi.advanceTimersByTime(1);
    }
  }

  it('counts a stop as at most one interval of running time', () => {
    const time = new RunningTime(10);
    expect([time.read(), time.read()]).toEqual([0, 0]);
    runs(7);
    expect(time.read()).toBe(7);
    nowMs += 2000;
    expect(time.read()).toBe(17);
    runs(3);
    expect(time.read()).toBe(20);
  });

  it.each([20, 1000, 10_000, 60_000])('fires a timer of %d ms on time, and later after a stop', (limitMs) => {
    const undisturbed = vi.fn();
    afterRunning(limitMs, undisturbed);
    runs(limitMs - 1);
    expect(undisturbed).not.toHaveBeenCalled();
    runs(2);
    expect(undisturbed).toHaveBeenCalledOnce();

    const stopped = vi.fn();
    afterRunning(limitMs, stopped);
    runs(limitMs / 2);
    nowMs += 10 * limitMs; // the pending timer fires after it
    runs(limitMs / 4);
    expect(stopped).not.toHaveBeenCalled();
    runs(limitMs / 4 + 2);
    expect(stopped).toHaveBeenCalledOnce();
  });

  it('does not fire a cancelled timer', () => {
    const action = vi.fn();
    const cancel = afterRunning(1000, action);
    runs(500);
    cancel();
    runs(1000);
    expect(action).not.toHaveBeenCalled();
  });

  /** Worker 1 is in an item and looked at every millisecond by a monitor that sees no other clock than the wall's. */
  function watched(limits: { cpuIntensiveThreshMs: number; hangTimeoutMs: number }) {
    const shared = fresh(1);
    const found: string[] = [];
    const monitor = new Monitor({
      shared,
      clock: processClock,
      probe: null,
      ...limits,
      removeFromWorklist: () => {},
      tell: (news) => found.push(news.kind === 'hang' ? `hang ${Math.round(news.forMs)}` : news.kind),
    });
    shared.words[shared.workerWord(1, STATE)] = stateIn(WorkerState.OnDuty, 0);
    shared.words[shared.workerWord(1, ITEM_FD)] = FD;
    shared.doubles[shared.workerDouble(1, STARTED)] = 1;
    shared.words[shared.poolWord(0, RUN_SLOT)] = itemWord(1, FD);
    monitor.look();
    const timer = setInterval(() => monitor.look(), 1);
    onTestFinished(() => clearInterval(timer));
    return found;
  }

  it('excludes stops from the time of a hang, which the monitor still finds', () => {
    const found = watched({ cpuIntensiveThreshMs: 0, hangTimeoutMs: 1000 });
    runs(300);
    for (let i = 0; i < 3; i++) {
      nowMs += 2000;
      runs(100);
    }
    expect(found).toEqual([]);
    runs(700);
    expect(found).toHaveLength(1);
  });

  it('excludes stops from the time that an item is awake', () => {
    const found = watched({ cpuIntensiveThreshMs: 100, hangTimeoutMs: 0 });
    runs(20);
    nowMs += 2000;
    runs(40);
    expect(found).toEqual([]);
    runs(60);
    expect(found).toContain('slotTaken');
  });

  it('finds both on time without a stop', () => {
    const found = watched({ cpuIntensiveThreshMs: 100, hangTimeoutMs: 1000 });
    runs(99);
    expect(found).toEqual([]);
    runs(52);
    expect(found).toContain('slotTaken');
    runs(899);
    expect(found.filter((what) => what.startsWith('hang'))).toHaveLength(1);
  });
});

describe('the program, stopped for longer than its limits', () => {
  it('with --hang-kill: resets no healthy connection', async () => {
    const options = ['--cpus', '2', '--hang-timeout', '5s', '--hang-kill', '--service', 'burn:20ms'];
    const { child, port } = await startBin(options);
    const clients = [await connectTo(port), await connectTo(port)];
    let over = false;
    // One request after another, so that both are almost certainly in an item at the stop.
    const requests = clients.map(async (client) => {
      while (!over) await client.echo('x');
    });
    await until(async () => (await child.stats()).items.started >= 2, 'items');
    child.signal('SIGSTOP');
    await pause(5500);
    child.signal('SIGCONT');
    const { completed } = (await child.stats()).items;
    const progress = until(async () => (await child.stats()).items.completed >= completed + 6, 'more items');
    await Promise.race([progress, Promise.all(requests)]); // rejects when a connection is reset
    over = true;
    await Promise.all(requests);
    const { items, connections, threads } = await child.stats();
    expect(items.hung).toBe(0);
    expect(threads.died).toEqual({ error: 0, outOfMemory: 0, terminated: 0 });
    expect(connections).toMatchObject({ active: 2, closed: { workerDied: 0 } });
  });

  it('while it drains: connections keep the rest of their time', async () => {
    const { child, port } = await startBin(['-s', 'kthread', '--drain-timeout', '3s']);
    const client = await connectTo(port);
    await client.echo('before');
    child.signal('SIGTERM');
    await child.line('draining');
    child.signal('SIGSTOP');
    await pause(3500);
    child.signal('SIGCONT');
    await client.echo('after');
    await client.quit();
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });

  it('while a connection is queued: does not refuse it for its age', async () => {
    const { child, port } = await startBin(['-s', 'workqueue', '--workers', '1', '--max-queue-age', '4s']);
    const holder = await connectTo(port);
    await holder.echo('holds the worker');
    const waiting = await connectTo(port);
    await until(async () => (await child.stats()).connections.queued === 1, 'it to be queued');
    child.signal('SIGSTOP');
    await pause(4500);
    child.signal('SIGCONT');
    await holder.quit();
    await waiting.echo('served');
  });
});
