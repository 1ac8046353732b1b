/**
 * Goal: failures cost little. Without new threads the existing ones and the rescuer keep working, and more are created
 * when possible; hung items are reported; a worker may die in any state.
 * Method: failing creations, services that sleep and burn, terminated threads; assertions on counters and states.
 */
import { createRequire } from 'node:module';
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Client } from './support/client.ts';
import { roundTrip, startManaged } from './support/managed-server.ts';
import { until } from './support/wait.ts';

type Clients = [Client, Client, Client];

/** Eight of these occupy two workers long enough for main to act meanwhile, even on a busy machine. */
const SLEEP = 'sleep:200ms';

describe('worker creation', () => {
  it('is retried after the cooldown, while the rescuer keeps work going', async () => {
    const { server, connect, faults } = await startManaged({ cpus: 1, service: [SLEEP] });
    const clients = await connect(8);
    const { created } = server.stats().threads;
    const beforeMs = performance.now(); // the cooldown may begin long before the failure is noted
    faults.failCreations = 2;
    const done = roundTrip(clients);
    await until(() => server.stats().threads.createFailed > 0, 'a creation to fail');
    await until(() => server.stats().items.rescued > 0, 'the rescuer to help');
    expect(server.stats().items.mayday).toBeGreaterThan(0);
    await done;
    await until(() => server.stats().threads.createFailed === 2, 'the second attempt to fail');
    expect(performance.now() - beforeMs).toBeGreaterThanOrEqual(1000); // CREATE_COOLDOWN
    await until(() => server.stats().threads.created > created, 'recovery');
    await roundTrip(clients);
  });

  it('stops at max-workers: items wait, and the log advises once', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
    const { server, connect } = await startManaged(
      { cpus: 1, maxWorkers: 2, service: ['sleep:50ms'] },
      logger,
    );
    const clients = await connect(8);
    await roundTrip(clients);
    await roundTrip(clients);
    expect(server.stats().threads.created).toBe(4); // and the rescuer and the monitor
    expect(server.stats().threads.createFailed).toBe(0);
    expect(lines.filter((line) => line.includes('--max-workers'))).toHaveLength(1);
  });
});

describe('no thread available', () => {
  // As new Worker() does when pthread_create fails: throws, through Piscina, in its caller.
  function withoutThreads(): () => void {
    const threads = createRequire(import.meta.url)('node:worker_threads') as { Worker: unknown };
    const { Worker } = threads;
    threads.Worker = class {
      constructor() {
        throw Object.assign(new Error('Worker initialization failure: EAGAIN'), {
          code: 'ERR_WORKER_INIT_FAILED',
        });
      }
    };
    return () => {
      threads.Worker = Worker;
    };
  }

  it('cmwq keeps working with its workers, and creates more when it can', async () => {
    const { server, connect } = await startManaged({ cpus: 1, service: [SLEEP] });
    const clients = await connect(8);
    const restore = withoutThreads();
    try {
      await roundTrip(clients);
      await until(() => server.stats().threads.createFailed > 0, 'a creation to fail');
    } finally {
      restore();
    }
    const { created } = server.stats().threads;
    await until(() => server.stats().threads.created > created, 'recovery');
    await roundTrip(clients);
  });

  it('kthread serves connections that had no thread before later ones', async () => {
    const { server, connect } = await startManaged({ strategy: 'kthread', maxWorkers: 1 });
    const restore = withoutThreads();
    let early: Client[] = [];
    try {
      early = await connect(1);
      await until(() => server.stats().threads.createFailed >= 6, 'creations to fail'); // the next try is 320 ms away
    } finally {
      restore();
    }
    const [first, second, third] = [...early, ...(await connect(1)), ...(await connect(1))] as Clients;
    await until(() => server.stats().connections.queued === 2, 'two of them to wait');
    for (const client of [first, second, third]) client.send('x');
    // The second, which gets a thread at once; or the first, on a machine so slow that the retry came before.
    await until(() => first.available + second.available === 1, 'one to be served');
    if (second.available === 1) {
      await second.readExactly(1);
      await second.quit();
    }
    await first.readExactly(1);
    expect(third.available).toBe(0);
    expect(server.stats().connections.queued).toBeGreaterThan(0);
  });

  it('kthread serves each connection once, in order, when threads can be created again', async () => {
    const { server, connect } = await startManaged({ strategy: 'kthread' });
    const restore = withoutThreads();
    let clients: Client[] = [];
    try {
      clients = await connect(3);
      for (const [i, client] of clients.entries()) client.send(`early ${i}`);
      await until(() => server.stats().threads.createFailed >= 3, 'creations to fail');
    } finally {
      restore();
    }
    for (const [i, client] of clients.entries()) {
      expect((await client.readExactly(7)).toString()).toBe(`early ${i}`);
      await client.quit();
    }
    expect(server.stats().items.started).toBe(3);
  });
});

describe('hung items', () => {
  it('are reported; with hangKill their thread is terminated and the pool keeps working', async () => {
    const { server, connect } = await startManaged({
      cpus: 1,
      hangTimeoutMs: 1500, // the quick one must not count as hung while it waits for a CPU
      hangKill: true,
      service: ['burn:60s', 'sleep:60s', 'burn:0.1ms'],
    });
    const [burner, sleeper, quick] = (await connect(3)) as [Client, Client, Client];
    burner.send('x');
    sleeper.send('x');
    await burner.untilClosed();
    await sleeper.untilClosed();
    expect([burner.errorCode, sleeper.errorCode]).toEqual(['ECONNRESET', 'ECONNRESET']);
    await quick.echo('quick');
    expect(server.stats().items.hung).toBe(2);
    expect(server.stats().threads.died.terminated).toBe(2);
    expect(server.stats().connections.closed.workerDied).toBe(2);
  });

  it('continue without hangKill', async () => {
    const { server, connect } = await startManaged({ cpus: 1, hangTimeoutMs: 50, service: ['sleep:1s'] });
    const [client] = (await connect(1)) as [Client];
    await client.echo('x');
    expect(server.stats().items.hung).toBe(1);
  });
});

describe('death in each state of a worker', () => {
  const services: Record<'onDuty' | 'blocked' | 'cpuIntensive' | 'finishing', string> = {
    onDuty: 'burn:60s',
    blocked: 'sleep:60s',
    cpuIntensive: 'cpu-intensive,burn:60s',
    finishing: 'sleep:20ms,burn:60s',
  };

  it.each(Object.keys(services) as (keyof typeof services)[])('%s, in an item', async (state) => {
    const service = [services[state], 'burn:0.1ms'];
    const { server, connect } = await startManaged({ cpus: 1, cpuIntensiveThreshMs: 0, service });
    const [doomed, other] = (await connect(2)) as [Client, Client];
    doomed.send('x');
    const victim = await until(
      () => server.workers().find((worker) => worker.state === state && worker.connection !== null),
      `a worker ${state}`,
    );
    server.terminateWorker(victim.id);
    await doomed.untilClosed();
    expect(doomed.errorCode).toBe('ECONNRESET');
    for (let i = 0; i < 3; i++) await other.echo(`after ${i}`);
    expect(server.stats().connections.closed.workerDied).toBe(1);
    await until(() => server.stats().cpuPools[0]?.nrRunning === 0, 'the count to be right');
    expect(server.stats().cpuPools[0]?.connections).toBe(1);
    expect(server.stats().threads.died.terminated).toBe(1);
  });

  it('onDuty, between items: loses no connection', async () => {
    const { server, connect } = await startManaged({ cpus: 1 });
    const clients = await connect(3);
    await roundTrip(clients);
    const holder = await until(
      () => server.workers().find((worker) => worker.state === 'onDuty' && worker.connection === null),
      'the holder of the slot to wait',
    );
    server.terminateWorker(holder.id);
    await until(() => server.stats().threads.died.terminated === 1, 'the death');
    await roundTrip(clients);
    expect(server.stats().connections.closed.workerDied).toBe(0);
  });

  it('idle: creates a successor', async () => {
    const { server } = await startManaged({ cpus: 2 });
    const { idle } = server.stats().workers;
    server.terminateWorker(server.workers().find((worker) => worker.state === 'idle')?.id ?? 0);
    await until(() => server.stats().threads.died.terminated === 1, 'the death');
    await until(() => server.stats().workers.idle === idle, 'the successor');
  });
});
