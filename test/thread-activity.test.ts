/**
 * Goal: the status and the log show what a worker in an item sleeps in, and for how long.
 * Method: servers whose workers sleep in a known system call; and a thread of the test, for a sleep that nobody has
 * declared. Asserts on names, and on durations only as bounds that a slow machine keeps.
 */
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ITEM_FD, SharedState, TID } from '../src/memory/layout.ts';
import { ThreadActivity } from '../src/pool/thread-activity.ts';
import { connectTo } from './support/client.ts';
import { recordingLogger } from './support/log-output.ts';
import { startManaged } from './support/managed-server.ts';
import { startServer } from './support/server.ts';
import { until } from './support/wait.ts';

/** No process has so many threads. */
const NO_THREAD = 2 ** 22 + 1;

describe('a worker', () => {
  it.each([
    ['kthread', 'read'],
    ['workqueue', 'recvfrom'],
  ] as const)('of %s waits for its peer in %s', async (strategy, name) => {
    const { server, port } = await startServer({ strategy, maxConnections: 2 });
    await (await connectTo(port)).echo('x');
    const serving = () => server.status().workers.find(({ connection }) => connection !== null);
    await until(() => serving()?.sleepsIn === name, `a worker to sleep in ${name}`);
    await until(() => (serving()?.sleepsForMs ?? 0) > 20, 'a second look at the same sleep');
  });

  it('of cmwq sleeps in a declared sleep since its beginning, though it wakes in between', async () => {
    const { server, port } = await startServer({
      cpus: 1,
      cpuIntensiveThreshMs: 60_000,
      service: ['sleep:60s'],
    });
    const beforeMs = performance.now();
    (await connectTo(port)).send('x');
    // The service sleeps in slices of a second: between two of them its thread runs.
    const worker = await until(
      () => server.status().workers.find(({ sleepsForMs }) => (sleepsForMs ?? 0) > 1500),
      'a long sleep',
    );
    expect(worker).toMatchObject({ state: 'blocked', connection: 1, sleepsIn: 'futex' });
    expect(worker.sleepsForMs).toBeLessThan(performance.now() - beforeMs);
    const others = server.status().workers.filter(({ connection }) => connection === null);
    expect(others.length).toBeGreaterThan(0);
    for (const { sleepsIn, sleepsForMs } of others) expect([sleepsIn, sleepsForMs]).toEqual([null, null]);
  });

  it.each([
    ['sleep:60s', /^futex$/],
    ['burn:60s', /^running$/],
  ])('that hangs in %s is logged and noted with what it is in', async (service, name) => {
    const { lines, logger } = recordingLogger();
    const { server, connect } = await startManaged(
      { cpus: 1, cpuIntensiveThreshMs: 0, hangTimeoutMs: 300, service: [service] },
      logger,
    );
    const [client] = await connect(1);
    client?.send('x');
    const noted = () => server.status().events.find(({ kind }) => kind === 'hang');
    const hangs = () => lines.find(({ msg }) => msg === 'an item hangs');
    await until(() => hangs() !== undefined, 'the hang to be logged');
    expect(hangs()?.in).toMatch(name);
    expect(noted()?.detail.in).toBe(hangs()?.in);
  });
});

describe('a sleep that nobody has declared', () => {
  /** Worker 1 in an item, on a thread that sleeps until the word changes, again and again. */
  async function start() {
    const shared = SharedState.create({ cpus: 1, workers: 1, fdLimit: 64, spills: 0 });
    const word = new Int32Array(new SharedArrayBuffer(4));
    const thread = new Worker(
      `const { parentPort, workerData } = require('node:worker_threads');
       const link = require('node:fs').readlinkSync('/proc/thread-self');
       parentPort.postMessage(Number(require('node:path').basename(link)));
       for (let i = 0; ; i++) Atomics.wait(workerData, 0, i);`,
      { eval: true, workerData: word },
    );
    onTestFinished(async () => {
      await thread.terminate();
    });
    const tid = await new Promise<number>((resolve) => thread.once('message', resolve));
    Atomics.store(shared.words, shared.workerWord(1, TID), tid);
    Atomics.store(shared.words, shared.workerWord(1, ITEM_FD), 7);
    const wake = () => {
      Atomics.add(word, 0, 1);
      Atomics.notify(word, 0);
    };
    return { shared, activity: new ThreadActivity(shared), wake };
  }

  it('lasts at least as long as its thread’s CPU time stands still, unknown at the first look, and the next one begins anew', async () => {
    const { shared, activity, wake } = await start();
    // A thread that starts sleeps for other reasons, too, and runs again: only a look of its own tells what it saw.
    const firstLook = await until(() => {
      const look = new ThreadActivity(shared).of(1);
      return look.sleepsIn === 'futex' && look;
    }, 'a sleep');
    expect(firstLook.sleepsForMs).toBe(null);
    const seenForMs = (ms: number, what: string) =>
      until(() => {
        const { sleepsIn, sleepsForMs, cpuTimeMs } = activity.of(1);
        return (
          sleepsIn === 'futex' && sleepsForMs !== null && sleepsForMs >= ms && { sleepsForMs, cpuTimeMs }
        );
      }, what);
    const sleep = await seenForMs(100, 'a sleep seen for a while');
    const wokenMs = performance.now();
    wake();
    await until(() => activity.of(1).cpuTimeMs !== sleep.cpuTimeMs, 'the thread to run');
    const { sleepsForMs } = await seenForMs(0, 'the next sleep');
    expect(sleepsForMs).toBeLessThanOrEqual(performance.now() - wokenMs);
  });

  it('is shown only within an item', async () => {
    const { shared, activity } = await start();
    await until(() => activity.of(1).sleepsIn === 'futex', 'the sleep to be shown');
    Atomics.store(shared.words, shared.workerWord(1, ITEM_FD), 0);
    expect(activity.of(1)).toMatchObject({ sleepsIn: null, sleepsForMs: null });
  });

  it('is null where the thread cannot be observed', async () => {
    const { shared, activity } = await start();
    for (const tid of [0, NO_THREAD]) {
      Atomics.store(shared.words, shared.workerWord(1, TID), tid);
      expect(activity.of(1)).toEqual({ cpuTimeMs: null, sleepsIn: null, sleepsForMs: null });
    }
  });
});
