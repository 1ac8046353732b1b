/**
 * Goal: concurrency is managed as in the kernel, on the real server: sleeping items hand the slot on, hogging
 * ones lose it, max_active holds, the rescuer helps when no worker can be made, and hung items are reported.
 * Method: services that sleep and burn; assertions on counters, states and order. Where a thing must not
 * happen, the state is looked at when an event that can only come later has come.
 */
import { createRequire } from 'node:module';
import { type Logger, pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { EchoServerOptions } from '../src/index.ts';
import { EchoServer } from '../src/server.ts';
import { Client } from './support/client.ts';
import { until } from './support/wait.ts';

const servers: EchoServer[] = [];

/** On a busy machine an item may be awake for long before it sleeps; it is not to lose its slot for that. */
const UNWATCHED = { cpus: 1, cpuIntensiveThreshMs: 60_000 };
/** An item that burns for a second or more is noticed, one of a moment is not, though it waits for a processor. */
const cpuIntensiveThreshMs = 300;

async function start(options: EchoServerOptions, logger?: Logger) {
  const faults = { failCreations: 0, workers: false };
  const server = new EchoServer({ port: 0, logLevel: 'silent', ...options }, logger, faults);
  servers.push(server);
  const { port } = await server.listen();
  const connect = async (count: number) => {
    const clients = Array.from({ length: count }, () => new Client(port));
    for (const client of clients) await client.connected();
    await until(() => server.stats().connections.active >= count, 'the clients accepted');
    return clients;
  };
  return { server, connect, faults };
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close({ drainTimeoutMs: 0 });
});

/** Sends to all at once and resolves with the indices in the order in which they were answered. */
async function roundTrip(clients: Client[]): Promise<number[]> {
  const order: number[] = [];
  await Promise.all(
    clients.map(async (client, i) => {
      await client.echo(`request of ${i}`);
      order.push(i);
    }),
  );
  return order;
}

describe('blocking items', () => {
  it('20 sleeping items of one CPU pool sleep at the same time once there are enough workers', async () => {
    const { server, connect } = await start({ ...UNWATCHED, service: ['sleep:300ms'] });
    const clients = await connect(20);
    while (server.stats().threads.created < 22) await roundTrip(clients); // 20, one in reserve, the rescuer
    await until(() => server.stats().workers.idle + server.stats().workers.onDuty >= 21, 'all workers up');
    const before = server.stats().items;
    const done = roundTrip(clients);
    await until(() => server.stats().workers.blocked === 20, 'all 20 items asleep together');
    await done;
    expect(server.stats().items.cmWakeup - before.cmWakeup).toBeGreaterThanOrEqual(19);
    expect(server.stats().items.mayday).toBe(before.mayday);
  });

  it('nobody waits for a sleeping item, and its connection keeps its order', async () => {
    const { server, connect } = await start({ ...UNWATCHED, service: ['sleep:500ms', 'burn:0.1ms'] });
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    sleeper.send('one');
    await until(() => server.stats().workers.blocked === 1, 'the item to sleep');
    sleeper.send('two');
    for (let i = 0; i < 20; i++) await quick.echo(`quick ${i}`);
    expect(sleeper.available).toBe(0);
    expect(server.stats().workers.blocked).toBe(1); // never run twice at once, though readable
    expect((await sleeper.readExactly(6)).toString()).toBe('onetwo');
  });

  it('a hang-up while its item sleeps ends that connection, once, and no other', async () => {
    const { server, connect } = await start({ ...UNWATCHED, service: ['sleep:200ms', 'burn:0.1ms'] });
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    sleeper.send('x');
    await until(() => server.stats().workers.blocked === 1, 'the item to sleep');
    sleeper.reset(); // EPOLLHUP and EPOLLERR from now on
    for (let i = 0; i < 20; i++) await quick.echo(`quick ${i}`);
    expect(server.stats().workers.blocked).toBe(1);
    await until(() => server.stats().connections.active === 1, 'the end of the sleeper');
    expect(server.stats().connections.closed).toMatchObject({ eof: 0, error: 1, workerDied: 0 });
    await quick.echo('still there');
  });

  it('max_active: no more items begin than it says, and the next one as soon as one ends', async () => {
    const { server, connect } = await start({ ...UNWATCHED, maxActive: 2, service: ['sleep:150ms'] });
    const clients = await connect(5);
    const done = roundTrip(clients);
    const seen = new Set<number>();
    while (server.stats().items.completed < 5) {
      const { items, workers } = server.stats();
      seen.add(workers.blocked);
      expect(items.started - items.completed).toBeLessThanOrEqual(2);
      await new Promise(setImmediate);
    }
    await done;
    expect(Math.max(...seen)).toBe(2);
    const { cpuPools } = server.stats();
    expect(cpuPools[0]?.nrRunning).toBe(0);
  });
});

describe('CPU-intensive items', () => {
  it('lose the slot when they are awake for too long, and the pool goes on', async () => {
    const { server, connect } = await start({
      cpus: 1,
      cpuIntensiveThreshMs,
      service: ['burn:2s', 'burn:0.1ms'],
    });
    const [hog, quick] = (await connect(2)) as [Client, Client];
    hog.send('x');
    await until(() => server.stats().workers.cpuIntensive === 1, 'the hog to be noticed');
    for (let i = 0; i < 10; i++) await quick.echo(`quick ${i}`);
    expect(hog.available).toBe(0);
    expect(server.stats().items.cpuIntensive).toBe(1);
    await hog.readExactly(1);
  });

  it('run one after another with the threshold at 0', async () => {
    const { server, connect } = await start({ cpus: 1, cpuIntensiveThreshMs: 0, service: ['burn:60ms'] });
    const clients = await connect(4);
    const done = roundTrip(clients);
    while (server.stats().items.completed < 4) {
      const { items, workers } = server.stats();
      expect(items.started - items.completed).toBeLessThanOrEqual(1);
      expect(workers.cpuIntensive).toBe(0);
      await new Promise(setImmediate);
    }
    expect(await done).toEqual([0, 1, 2, 3]);
    expect(server.stats().items.cpuIntensive).toBe(0);
  });

  it('that say so leave the count at once, uncounted by the watchdog', async () => {
    const { server, connect } = await start({
      cpus: 1,
      cpuIntensiveThreshMs: 0,
      service: ['cpu-intensive,burn:1s', 'burn:0.1ms'],
    });
    const [hog, quick] = (await connect(2)) as [Client, Client];
    hog.send('x');
    await until(() => server.stats().workers.cpuIntensive === 1, 'the hog out of the count');
    await quick.echo('quick');
    expect(hog.available).toBe(0);
    expect(server.stats().items.cpuIntensive).toBe(0);
    await hog.readExactly(1);
  });

  it('are noticed after a sleep too, when they overshoot', async () => {
    const { server, connect } = await start({
      cpus: 1,
      cpuIntensiveThreshMs,
      service: ['sleep:200ms,burn:1s', 'burn:0.1ms'],
    });
    const [hog, quick] = (await connect(2)) as [Client, Client];
    hog.send('x');
    await until(() => server.stats().workers.cpuIntensive === 1, 'the hog to be noticed');
    await quick.echo('quick');
    expect(hog.available).toBe(0);
    await hog.readExactly(1);
    expect(server.stats().items.cpuIntensive).toBe(1);
  });

  it('are looked for only while something runs', async () => {
    const { server, connect } = await start({ cpus: 2, service: ['burn:300ms'] });
    const [client] = (await connect(1)) as [Client];
    for (const request of ['x', 'y']) {
      await until(() => !server.watchdogRuns, 'the watchdog to sleep');
      const done = client.echo(request);
      await until(() => server.watchdogRuns, 'the watchdog to wake');
      await done;
    }
  });
});

describe('creation', () => {
  it('that fails is repeated after the cooldown, and the rescuer keeps work going meanwhile', async () => {
    const { server, connect, faults } = await start({ cpus: 1, service: ['sleep:50ms'] });
    const clients = await connect(8);
    faults.failCreations = 2;
    const failed = () => server.status().events.filter(({ kind }) => kind === 'creationFailed');
    const done = roundTrip(clients);
    await until(() => failed().length === 1, 'a creation to fail');
    await until(() => server.stats().items.rescued > 0, 'the rescuer to help');
    expect(server.stats().items.mayday).toBeGreaterThan(0);
    await done;
    await until(() => server.stats().threads.createFailed === 2, 'the second attempt to fail');
    const [first, second] = failed();
    expect((second?.atMs ?? 0) - (first?.atMs ?? 0)).toBeGreaterThanOrEqual(1000); // CREATE_COOLDOWN
    const created = server.stats().threads.created;
    await until(() => server.stats().threads.created > created, 'recovery');
    await roundTrip(clients);
  });

  it('stops at max-workers: items wait, and it is said once, with advice', async () => {
    const lines: string[] = [];
    const logger = pino({ level: 'warn' }, { write: (line: string) => lines.push(line) });
    const { server, connect } = await start({ cpus: 1, maxWorkers: 2, service: ['sleep:50ms'] }, logger);
    const clients = await connect(8);
    await roundTrip(clients);
    await roundTrip(clients);
    expect(server.stats().threads.created).toBe(3); // and the rescuer
    expect(server.stats().threads.createFailed).toBe(0);
    expect(lines.filter((line) => line.includes('--max-workers'))).toHaveLength(1);
  });
});

describe('no thread to be had', () => {
  // What new Worker() does when pthread_create fails: it throws, through Piscina, in whatever called it.
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

  it('cmwq goes on with the workers it has, and makes more when it can again', async () => {
    const { server, connect } = await start({ cpus: 1, service: ['sleep:50ms'] });
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

  it('kthread serves each connection once, in order, when threads can be made again', async () => {
    const { server, connect } = await start({ strategy: 'kthread' });
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
  it('are reported, and with hangKill their thread is ended and the pool goes on', async () => {
    const { server, connect } = await start({
      cpus: 1,
      hangTimeoutMs: 500, // the quick one must not hang, though it waits for a processor
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

  it('without it they go on', async () => {
    const { server, connect } = await start({ cpus: 1, hangTimeoutMs: 50, service: ['sleep:300ms'] });
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
    const { server, connect } = await start({ cpus: 1, cpuIntensiveThreshMs: 0, service });
    const [doomed, other] = (await connect(2)) as [Client, Client];
    doomed.send('x');
    const victim = () =>
      server.workers().find((worker) => worker.state === state && worker.connection !== null)?.id ?? 0;
    await until(() => victim() !== 0, `a worker ${state}`);
    server.terminateWorker(victim());
    await doomed.untilClosed();
    expect(doomed.errorCode).toBe('ECONNRESET');
    for (let i = 0; i < 3; i++) await other.echo(`after ${i}`);
    expect(server.stats().connections.closed.workerDied).toBe(1);
    await until(() => server.stats().cpuPools[0]?.nrRunning === 0, 'the count to be right');
    expect(server.stats().cpuPools[0]?.connections).toBe(1);
    expect(server.stats().threads.died.terminated).toBe(1);
  });

  it('on duty between items: no connection is lost', async () => {
    const { server, connect } = await start({ cpus: 1 });
    const clients = await connect(3);
    await roundTrip(clients);
    const holder = () =>
      server.workers().find((worker) => worker.state === 'onDuty' && worker.connection === null)?.id ?? 0;
    await until(() => holder() !== 0, 'the holder of the slot to wait');
    server.terminateWorker(holder());
    await until(() => server.stats().threads.died.terminated === 1, 'the death');
    await roundTrip(clients);
    expect(server.stats().connections.closed.workerDied).toBe(0);
  });

  it('idle: a successor comes', async () => {
    const { server } = await start({ cpus: 2 });
    const { idle } = server.stats().workers;
    server.terminateWorker(server.workers().find((worker) => worker.state === 'idle')?.id ?? 0);
    await until(() => server.stats().threads.died.terminated === 1, 'the death');
    await until(() => server.stats().workers.idle === idle, 'the successor');
  });
});
