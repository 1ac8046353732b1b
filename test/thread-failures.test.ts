/**
 * Goal: under any strategy, threads that exit before they have loaded cost only occasional retries and a log line;
 * connections are served once threads can be created again, or refused.
 * Method: threads that fail while they load, and a program whose working directory is removed; assertions on counters,
 * states, log lines and bytes.
 */
import { mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { EchoServerOptions } from '../src/index.ts';
import { startBin } from './support/child.ts';
import { type Client, connectTo } from './support/client.ts';
import { WorkerFault } from './support/faults.ts';
import { recordingLogger } from './support/log-output.ts';
import { startManaged } from './support/managed-server.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const FAILED = 'thread creation failed';
const FEW: Record<string, EchoServerOptions> = { kthread: {}, workqueue: { workers: 3 }, cmwq: { cpus: 1 } };

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
    it('are retried one at a time and logged in aggregate; clients are served later', async () => {
      const { server, connect, faults, lines } = await withoutThreads(strategy);
      const clients = await connect(3);
      for (const [i, client] of clients.entries()) client.send(`early ${i}`);
      const failed = () => server.stats().threads.createFailed;
      // The first failures may coincide: three threads, and three tasks assigned to a dying thread.
      await until(() => failed() >= (strategy === 'cmwq' ? 4 : 8), 'tries to fail');
      expect(server.notReadyReason).toBe('no thread can be made');
      // Under cmwq the rescuer is retried separately from the workers.
      expect(server.stats().threads.alive).toBeLessThanOrEqual(strategy === 'cmwq' ? 2 : 1);
      expect(lines.filter(({ msg }) => msg === FAILED)).toHaveLength(1);
      faults.failLoads = 0;
      for (const [i, client] of clients.entries()) {
        expect((await client.readExactly(7)).toString()).toBe(`early ${i}`);
      }
      expect(server.notReadyReason).toBeNull();
      for (const client of clients) await client.quit();
    });

    it('are retried even after they have claimed their id', async () => {
      const { lines, logger } = recordingLogger();
      const { server, connect, faults } = await startManaged({ strategy, ...FEW[strategy] }, logger);
      faults.order(WorkerFault.start);
      for (const { id } of server.workers()) server.terminateWorker(id);
      const clients = strategy === 'kthread' ? await connect(20) : [];
      const { died } = server.stats().threads;
      await until(
        () => server.stats().threads.createFailed >= (strategy === 'kthread' ? 22 : 4),
        'tries to fail',
      );
      expect(server.notReadyReason).toBe('no thread can be made');
      expect(server.stats().threads.alive).toBeLessThanOrEqual(strategy === 'cmwq' ? 2 : 1);
      expect(server.stats().threads.died.error).toBe(died.error);
      expect(lines.filter(({ msg }) => msg === FAILED)).toHaveLength(1);
      faults.order(WorkerFault.none);
      await until(() => server.notReadyReason === null, 'a thread');
      for (const client of clients) await client.echo('served');
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
    const clients = await connect(20);
    await until(() => server.stats().threads.createFailed >= 20, 'all to fail');
    for (const client of clients) await client.echo('served');
    const { created, createFailed } = server.stats().threads;
    expect(created).toBe(20 + createFailed);
    for (const client of clients) await client.quit();
  });
});

describe('kthread: when the system creates no more threads', () => {
  it('serves many connections on its one thread, and retries occasionally, not for each', async () => {
    const { lines, logger } = recordingLogger();
    const { server, connect, faults } = await startManaged({ strategy: 'kthread' }, logger);
    const [first] = (await connect(1)) as [Client];
    await first.echo('served');
    faults.failCreations = Number.POSITIVE_INFINITY;
    const others = await connect(60);
    await first.quit();
    for (const client of others) {
      await client.echo('served by the same thread');
      await client.quit();
    }
    expect(server.stats().threads.created).toBe(1);
    expect(server.stats().threads.createFailed).toBeGreaterThan(0);
    expect(lines.filter(({ msg }) => msg === FAILED)).toHaveLength(1);
    expect(server.notReadyReason).toBeNull();
  });
});

describe('kthread in a removed working directory', () => {
  it('creates few threads, logs one line, and stops within the drain timeout', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'kecho-'));
    const { child, port } = await startBin(['-s', 'kthread', '--drain-timeout', '300ms'], { cwd: folder });
    rmdirSync(folder);
    const client = await connectTo(port);
    client.reset();
    await until(async () => (await child.stats()).threads.createFailed >= 5, 'tries to fail');
    const { threads, connections } = await child.stats();
    expect(threads.created - threads.createFailed).toBeLessThanOrEqual(1);
    expect(connections).toMatchObject({ accepted: 1, active: 1 });
    expect(child.linesSaying(FAILED)).toHaveLength(1);
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 4, signal: null });
  });
});
