/**
 * Goal: under any strategy, threads that exit before they have loaded cost only occasional retries and a log line;
 * connections are served once threads can be created again, or refused.
 * Method: threads that fail while they load, and a program whose working directory is removed; assertions on counters,
 * states, log lines and bytes. On a busy machine a test may outlast the server's limits, for which it allows.
 */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EchoServer } from '../src/index.ts';
import type { GivenOptions } from '../src/options/index.ts';
import { NO_THREAD_MS } from '../src/strategy/strategy.ts';
import { type LogLine, startBin } from './support/child.ts';
import { type Client, connectTo } from './support/client.ts';
import { WorkerFault } from './support/faults.ts';
import { recordingLogger } from './support/log-output.ts';
import { startManaged } from './support/managed-server.ts';
import { FULL } from './support/size.ts';
import { pause, until } from './support/wait.ts';

const FAILED = 'thread creation failed';
/** The least time between two such lines. */
const LOG_INTERVAL_MS = 10_000;
const FEW: Record<string, GivenOptions> = { kthread: {}, workqueue: { workers: 3 }, cmwq: { cpus: 1 } };

/** Failures have been logged, as often as the time since `sinceMs`, before the first of them, allows. */
function expectAggregated(lines: readonly LogLine[], sinceMs: number): void {
  const logged = lines.filter(({ msg }) => msg === FAILED).length;
  expect(logged).toBeGreaterThan(0);
  expect(logged).toBeLessThanOrEqual(1 + Math.floor((performance.now() - sinceMs) / LOG_INTERVAL_MS));
}

/** `requests` of clients that have waited since `sinceMs` or later are answered, unless that is too long ago. */
async function expectServed(
  server: EchoServer,
  requests: ReadonlyMap<Client, string>,
  sinceMs: number,
): Promise<void> {
  let refused = 0;
  for (const [client, text] of requests) {
    const bytes = await client.readExactly(text.length).catch(() => null);
    if (bytes === null) refused++;
    else expect(bytes.toString()).toBe(text);
  }
  expect(server.stats().connections.refused.noThread).toBe(refused);
  if (performance.now() - sinceMs < NO_THREAD_MS) expect(refused).toBe(0);
}

/** Sends each client's text. */
function sendAll(requests: ReadonlyMap<Client, string>): void {
  for (const [client, text] of requests) client.send(text);
}

/** Two more tries, while each of which at most `most` threads are alive. */
async function expectFewThreads(server: EchoServer, most: number): Promise<void> {
  const { threads } = server.stats();
  await until(() => {
    expect(server.stats().threads.alive).toBeLessThanOrEqual(most);
    return server.stats().threads.createFailed >= threads.createFailed + 2;
  }, 'two more tries to fail');
}

/** A server whose threads have been terminated and that can create none. */
async function withoutThreads(strategy: 'kthread' | 'workqueue' | 'cmwq') {
  const { lines, logger } = recordingLogger();
  const started = await startManaged({ strategy, ...FEW[strategy] }, logger);
  const { server, faults } = started;
  faults.failLoads = Number.POSITIVE_INFINITY;
  for (const { id } of server.workers()) server.terminateWorker(id);
  return { ...started, lines };
}

describe.each(['kthread', 'workqueue', 'cmwq'] as const)(
  '%s: threads that exit before they have loaded',
  (strategy) => {
    // Under cmwq the rescuer is retried separately from the workers.
    const most = strategy === 'cmwq' ? 2 : 1;

    it('are retried one at a time and logged in aggregate; clients are served later', async () => {
      const sinceMs = performance.now();
      const { server, connect, faults, lines } = await withoutThreads(strategy);
      const requests = new Map((await connect(3)).map((client, i) => [client, `early ${i}`]));
      sendAll(requests);
      const { threads } = server.stats();
      // The first failures may coincide: three threads, and three tasks assigned to a dying thread.
      await until(() => {
        const { createFailed, alive } = server.stats().threads;
        return createFailed >= 2 && alive <= most;
      }, 'tries to fail');
      await until(() => server.notReadyReason === 'no thread can be made', 'no thread to be left');
      await expectFewThreads(server, most);
      expect(server.stats().threads.died.error).toBe(threads.died.error);
      faults.failLoads = 0;
      await until(() => server.notReadyReason === null, 'a thread');
      await expectServed(server, requests, sinceMs);
      expectAggregated(lines, sinceMs);
    });

    it('are retried even after they have claimed their id', async () => {
      const sinceMs = performance.now();
      const { lines, logger } = recordingLogger();
      const { server, connect, faults } = await startManaged({ strategy, ...FEW[strategy] }, logger);
      faults.order(WorkerFault.start);
      for (const { id } of server.workers()) server.terminateWorker(id);
      const clients = strategy === 'kthread' ? await connect(20) : [];
      await until(() => {
        const { createFailed, alive } = server.stats().threads;
        return createFailed >= Math.max(2, clients.length) && alive <= most;
      }, 'tries to fail');
      await until(() => server.notReadyReason === 'no thread can be made', 'no thread to be left');
      await expectFewThreads(server, most);
      expect(server.stats().threads.died.error).toBe(0);
      faults.order(WorkerFault.none);
      await until(() => server.notReadyReason === null, 'a thread');
      const requests = new Map(clients.map((client) => [client, 'served']));
      sendAll(requests);
      await expectServed(server, requests, sinceMs);
      expectAggregated(lines, sinceMs);
    });

    // workqueue has kthread's code for this.
    it.runIf(FULL || strategy !== 'workqueue')(
      'cause refusals after a while; the server recovers by itself',
      async () => {
        const { server, connect, faults } = await withoutThreads(strategy);
        const refused = () => server.stats().connections.refused.noThread;
        const [first] = (await connect(1)) as [Client];
        // Under cmwq a dispatched connection waits in its worklist; new ones are refused.
        await until(async () => {
          if (strategy === 'cmwq') await connectTo(first.socket.remotePort as number);
          await pause(100);
          return refused() > 0;
        }, 'a refusal');
        if (strategy !== 'cmwq') {
          await first.untilClosed();
          expect(first.errorCode).toBe('ECONNRESET');
        }
        faults.failLoads = 0;
        await until(() => server.notReadyReason === null, 'a thread');
        const [later] = (await connect(1)) as [Client];
        await later.echo('served');
      },
    );
  },
);

describe('kthread: many threads that fail at once', () => {
  it('are each counted, then retried one at a time', async () => {
    const { server, connect, faults } = await startManaged({ strategy: 'kthread' });
    faults.failLoads = 20;
    const sinceMs = performance.now();
    const requests = new Map((await connect(20)).map((client) => [client, 'served']));
    await until(() => server.stats().threads.createFailed >= 20, 'all to fail');
    sendAll(requests);
    await expectServed(server, requests, sinceMs);
    const { threads, connections } = server.stats();
    expect(threads.created).toBe(20 - connections.refused.noThread + threads.createFailed);
  });
});

describe('kthread: when the system creates no more threads', () => {
  it('serves many connections on its one thread, and retries occasionally, not for each', async () => {
    const sinceMs = performance.now();
    const { lines, logger } = recordingLogger();
    const { server, connect, faults } = await startManaged({ strategy: 'kthread' }, logger);
    const [first] = (await connect(1)) as [Client];
    await first.echo('served');
    faults.failCreations = Number.POSITIVE_INFINITY;
    const others = await connect(60);
    await first.quit();
    for (const client of others) {
      await client.echo('served by the same thread');
      expect(server.notReadyReason).toBeNull(); // after the last one the thread ends
      await client.quit();
    }
    expect(server.stats().threads.created).toBe(1);
    expect(server.stats().threads.createFailed).toBeGreaterThan(0);
    expectAggregated(lines, sinceMs);
  });
});

describe('kthread in a removed working directory', () => {
  it('creates few threads, logs one line, and stops within the drain timeout', async () => {
    const sinceMs = performance.now();
    const folder = mkdtempSync(join(tmpdir(), 'kecho-'));
    const { child, port } = await startBin(['-s', 'kthread', '--drain-timeout', '300ms'], { cwd: folder });
    rmdirSync(folder);
    const client = await connectTo(port);
    client.reset();
    await until(async () => (await child.stats()).threads.createFailed >= 5, 'tries to fail');
    const { threads, connections } = await child.stats();
    expect(threads.created - threads.createFailed).toBeLessThanOrEqual(1);
    const refused = connections.refused.noThread;
    expect(connections).toMatchObject({ accepted: 1, active: 1 - refused });
    if (performance.now() - sinceMs < NO_THREAD_MS) expect(refused).toBe(0);
    expectAggregated(child.lines, sinceMs);
    child.signal('SIGTERM');
    const ended = await child.untilEnded();
    const { cut } = await child.line('stopped');
    expect(ended).toEqual({ code: cut === 0 ? 0 : 4, signal: null });
    if (performance.now() - sinceMs < NO_THREAD_MS) expect(cut).toBe(1);
  });
});
