/**
 * Goal: a process that was stopped (SIGSTOP) goes on where it was: no limit on what workers and peers do has passed
 * meanwhile.
 * Method: clock, timer and watchdog on a clock and timers of the test's own, where a stop is a jump of the clock; and
 * the program, stopped for longer than its limits.
 */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { ITEM_FD, STARTED, STATE, stateIn, WorkerState } from '../src/memory/layout.ts';
import { Watchdog } from '../src/pool/watchdog.ts';
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

  /** The process runs for this long. */
  function runs(ms: number): void {
    for (let i = 0; i < ms; i++) {
      nowMs++;
      vi.advanceTimersByTime(1);
    }
  }

  it('running time counts a stop as one interval at most', () => {
    const time = new RunningTime(10);
    expect([time.read(), time.read()]).toEqual([0, 0]);
    runs(7);
    expect(time.read()).toBe(7);
    nowMs += 2000;
    expect(time.read()).toBe(17);
    runs(3);
    expect(time.read()).toBe(20);
  });

  it.each([20, 1000, 10_000, 60_000])('a timer of %d ms comes in time, and after a stop later', (limitMs) => {
    const undisturbed = vi.fn();
    afterRunning(limitMs, undisturbed);
    runs(limitMs - 1);
    expect(undisturbed).not.toHaveBeenCalled();
    runs(2);
    expect(undisturbed).toHaveBeenCalledOnce();

    const stopped = vi.fn();
    afterRunning(limitMs, stopped);
    runs(limitMs / 2);
    nowMs += 10 * limitMs; // and the timer that was running comes after it
    runs(limitMs / 4);
    expect(stopped).not.toHaveBeenCalled();
    runs(limitMs / 4 + 2);
    expect(stopped).toHaveBeenCalledOnce();
  });

  it('a timer that is cancelled does not come', () => {
    const action = vi.fn();
    const cancel = afterRunning(1000, action);
    runs(500);
    cancel();
    runs(1000);
    expect(action).not.toHaveBeenCalled();
  });

  /** Worker 1 is in an item, and the watchdog has seen it. */
  function watched(limits: { cpuIntensiveThreshMs: number; hangTimeoutMs: number }) {
    const shared = fresh(1);
    const found: string[] = [];
    const watchdog = new Watchdog({
      shared,
      clock: processClock,
      ...limits,
      onCpuIntensive: () => found.push('cpuIntensive'),
      onHang: (_id, _fd, _started, forMs) => found.push(`hang ${Math.round(forMs)}`),
    });
    shared.words[shared.workerWord(1, STATE)] = stateIn(WorkerState.OnDuty, 0);
    shared.words[shared.workerWord(1, ITEM_FD)] = FD;
    shared.doubles[shared.workerDouble(1, STARTED)] = 1;
    watchdog.look();
    return { watchdog, found };
  }

  it('the watchdog counts no stop to a hang, and finds one all the same', () => {
    const { watchdog, found } = watched({ cpuIntensiveThreshMs: 0, hangTimeoutMs: 1000 });
    runs(300);
    for (let i = 0; i < 3; i++) {
      nowMs += 2000;
      runs(100);
    }
    expect(found).toEqual([]);
    runs(700);
    expect(found).toHaveLength(1);
    watchdog.stop();
  });

  it('nor to the time that an item is awake', () => {
    const { watchdog, found } = watched({ cpuIntensiveThreshMs: 100, hangTimeoutMs: 0 });
    runs(20);
    nowMs += 2000;
    runs(40);
    expect(found).toEqual([]);
    runs(60);
    expect(found).toContain('cpuIntensive');
    watchdog.stop();
  });

  it('without a stop it finds both in time', () => {
    const { watchdog, found } = watched({ cpuIntensiveThreshMs: 100, hangTimeoutMs: 1000 });
    runs(99);
    expect(found).toEqual([]);
    runs(52);
    expect(found).toContain('cpuIntensive');
    runs(899);
    expect(found.filter((what) => what.startsWith('hang'))).toHaveLength(1);
    watchdog.stop();
  });
});

describe('the program, stopped for longer than its limits', () => {
  it('with --hang-kill: no good connection is reset', async () => {
    const options = ['--cpus', '2', '--hang-timeout', '5s', '--hang-kill', '--service', 'burn:300ms'];
    const { child, port } = await startBin(options);
    const clients = [await connectTo(port), await connectTo(port)];
    let over = false;
    // One request after another, so that they are in an item nearly all the time, and so at the stop.
    const asking = clients.map(async (client) => {
      while (!over) await client.echo('x');
    });
    await until(async () => (await child.stats()).items.started >= 2, 'items');
    child.signal('SIGSTOP');
    await pause(5500);
    child.signal('SIGCONT');
    const { completed } = (await child.stats()).items;
    const goesOn = until(async () => (await child.stats()).items.completed >= completed + 6, 'it to go on');
    await Promise.race([goesOn, Promise.all(asking)]); // which fails when one of them is reset
    over = true;
    await Promise.all(asking);
    const { items, connections, threads } = await child.stats();
    expect(items.hung).toBe(0);
    expect(threads.died).toEqual({ error: 0, outOfMemory: 0, terminated: 0 });
    expect(connections).toMatchObject({ active: 2, closed: { workerDied: 0 } });
  });

  it('while it drains: connections have the rest of their time', async () => {
    const { child, port } = await startBin(['--drain-timeout', '3s']);
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

  it('while a connection waits for a thread: it is not refused for the stop', async () => {
    const { child, port } = await startBin(['-s', 'workqueue', '--workers', '1', '--max-queue-age', '4s']);
    const holder = await connectTo(port);
    await holder.echo('holds the worker');
    const waiting = await connectTo(port);
    await until(async () => (await child.stats()).connections.queued === 1, 'it to wait');
    child.signal('SIGSTOP');
    await pause(4500);
    child.signal('SIGCONT');
    await holder.quit();
    await waiting.echo('served');
  });
});
