/**
 * Goal: a worker's death, of whatever kind and at any moment, costs at most the connection it was in: no other loses,
 * gains or reorders a byte, no descriptor leaks, and the pool returns to its size.
 * Method: a byte-checked load under which workers die 20 times: by an uncaught error, by heap exhaustion, and by
 * termination.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { WorkerState } from '../src/memory/layout.ts';
import { hasDied } from '../src/pool/roster.ts';
import { EchoServer } from '../src/server/server.ts';
import { Client } from './support/client.ts';
import { type ThreadFaults, threadFaults, WorkerFault } from './support/faults.ts';
import { Load } from './support/load.ts';
import { descriptors } from './support/process.ts';
import { sized } from './support/size.ts';
import { until, untilSteady } from './support/wait.ts';

const servers: EchoServer[] = [];

async function start(options: object): Promise<{ server: EchoServer; port: number; faults: ThreadFaults }> {
  const faults = threadFaults();
  const server = new EchoServer({ port: 0, logLevel: 'silent', ...options });
  servers.push(server);
  const { port } = await server.listen();
  return { server, port, faults };
}

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close({ drainTimeoutMs: 0 });
});

function deaths(server: EchoServer): number {
  const { error, outOfMemory, terminated } = server.stats().threads.died;
  return error + outOfMemory + terminated;
}

/** Makes a worker die in the given way, and resolves when main has noticed. */
async function endOne(
  server: EchoServer,
  faults: ThreadFaults,
  way: keyof typeof ways,
  round: number,
): Promise<void> {
  const before = deaths(server);
  if (way === 'terminated') {
    // Not a loading one, which must not be terminated. The one on duty changes with every death.
    const able = () => server.workers().filter(({ state }) => state === 'idle' || state === 'onDuty');
    await until(() => server.terminateWorker(able()[round % 3]?.id ?? 0), 'a worker to end');
  } else faults.order(ways[way]);
  await until(() => deaths(server) > before, `a death: ${way}`);
}

const ways = {
  error: WorkerFault.throw,
  outOfMemory: WorkerFault.exhaustMemory,
  terminated: WorkerFault.none,
} as const;

const DEATHS = sized(20);
const LANES = sized(200);

describe('cmwq', () => {
  it.each(Object.keys(ways) as (keyof typeof ways)[])(
    `survives ${DEATHS} deaths by %s under load`,
    async (way) => {
      const openBase = await untilSteady(() => descriptors(), 'the descriptors');
      const { server, port, faults } = await start({ strategy: 'cmwq', cpus: 2 });
      await until(() => server.stats().workers.idle >= 1, 'the reserve');
      const threadsBefore = server.stats().threads.alive;
      const openBefore = await untilSteady(() => descriptors(), 'the descriptors');
      const load = new Load(port, LANES);
      await load.progress(2 * LANES);
      for (let round = 0; round < DEATHS; round++) {
        const lostBefore = load.lost;
        await endOne(server, faults, way, round);
        await load.progress(LANES + 7 * (round % 5)); // a full round of most lanes, and a different moment each time
        expect(load.lost - lostBefore).toBeLessThanOrEqual(1);
      }
      await load.stop();
      expect(server.stats().threads.died[way]).toBe(DEATHS);
      expect(server.stats().connections.closed.workerDied).toBe(load.lost);
      await until(() => server.stats().connections.active === 0, 'all connections closed');
      // A death may create two workers: a successor, and a reserve when all others were on duty.
      await until(() => server.stats().threads.alive >= threadsBefore, 'the pool to be back to its size');
      await until(() => server.stats().workers.starting === 0, 'the last one to come up');
      expect(server.stats().spills.inUse).toBe(0);
      expect(server.stats().cpuPools.every((pool) => pool.nrRunning === 0)).toBe(true);
      const perThread = (openBefore - openBase) / threadsBefore;
      const openAfter = await untilSteady(() => descriptors(), 'the descriptors');
      expect(openAfter - openBase).toBeLessThanOrEqual(perThread * server.stats().threads.alive);
    },
  );

  it('counts each death once and creates one successor, even for a worker that had not begun', async () => {
    const { server, port } = await start({ strategy: 'cmwq', cpus: 2 });
    await until(() => server.stats().workers.idle >= 1, 'the reserve');
    const before = server.stats().threads;
    const load = new Load(port, 50);
    let ordered = 0;
    const idOf = (wanted: string) => server.workers().find(({ state }) => state === wanted)?.id ?? 0;
    const end = async (wanted: string) => {
      const soFar = deaths(server);
      if (!server.terminateWorker(idOf(wanted))) return false;
      await until(() => deaths(server) > soFar, 'its death');
      ordered++;
      return true;
    };
    while (server.stats().threads.createFailed < sized(10)) {
      await until(() => end('onDuty'), 'a worker to end');
      const allAreUp = () => server.workers().length >= before.alive;
      await until(() => idOf('starting') !== 0 || allAreUp(), 'its successor');
      await end('starting'); // usually its task has not begun: then this counts as a failed creation
    }
    await load.stop();
    await until(() => {
      const { threads, workers } = server.stats();
      return threads.alive >= before.alive && workers.starting === 0;
    }, 'the pool to be back to its size');
    await untilSteady(() => server.stats().threads.created, 'the threads made');
    expect(server.stats().threads.died).toEqual({ error: 0, outOfMemory: 0, terminated: ordered });
    expect(server.stats().threads.alive).toBeLessThanOrEqual(before.alive + 1);
  });

  // worker: TASK = n | main: terminates its thread; then STATE is Starting, though the task has begun | worker: Idle
  it('creates a successor of a worker that dies between the begin of its task and its first idle state', async () => {
    const { server, faults } = await start({ strategy: 'cmwq', cpus: 1 });
    await until(() => server.stats().workers.idle >= 1, 'the reserve');
    const { alive, created } = server.stats().threads;
    const idOf = (wanted: string) => server.workers().find(({ state }) => state === wanted)?.id ?? 0;
    faults.order(WorkerFault.stopsBeforeIdle);
    server.terminateWorker(idOf('idle'));
    await until(() => faults.isCommitted, 'its successor to stop');
    server.terminateWorker(idOf('starting'));
    await until(() => deaths(server) === 2, 'the death of both');
    await until(() => server.stats().threads.alive === alive, 'the pool to be back to its size');
    await until(() => server.stats().workers.starting === 0, 'the last one to come up');
    expect(server.stats().threads).toMatchObject({ created: created + 2, createFailed: 0 });
  });

  it('resets the connection in whose item a worker died, and serves the others', async () => {
    const { server, port, faults } = await start({ strategy: 'cmwq', cpus: 1 });
    const [doomed, other] = [new Client(port), new Client(port)];
    await other.echo('before');
    await doomed.echo('before');
    faults.order(WorkerFault.throw);
    doomed.send('fatal');
    await doomed.untilClosed();
    expect(doomed.errorCode).toBe('ECONNRESET');
    await other.echo('after');
    expect(server.stats().connections.closed.workerDied).toBe(1);
    expect(server.stats().threads.died.error).toBe(1);
  });
});

describe('whether a thread of cmwq has died', () => {
  it.each([
    ['retired', WorkerState.Retired, false, false],
    ['retired and terminated', WorkerState.Retired, true, false],
    ['ended by Piscina before its task', WorkerState.Starting, false, false],
    ['terminated before its task', WorkerState.Starting, true, true],
    ['terminated', WorkerState.Idle, true, true],
    ['exited in an item, for no known reason', WorkerState.OnDuty, false, true],
  ])('%s', (_, state, ordered, died) => {
    expect(hasDied(state, null, ordered)).toBe(died);
    expect(hasDied(state, new Error('thrown'), ordered)).toBe(true);
  });
});

describe('cmwq: a hang-up together with a death', () => {
  it('costs only that connection, and closes its descriptor once', async () => {
    const { server, port } = await start({
      cpus: 1,
      cpuIntensiveThreshMs: 60_000, // the item must fall asleep with the slot, even on a busy machine
      service: ['sleep:60s', 'burn:0.1ms'],
    });
    for (let round = 0; round < 5; round++) {
      const doomed = await new Client(port).connected();
      const other = await new Client(port).connected();
      doomed.send('x');
      const asleep = () => server.workers().find(({ state }) => state === 'blocked')?.id ?? 0;
      await until(() => asleep() !== 0, 'the item to sleep');
      await other.echo('a holder is on duty');
      doomed.reset(); // EPOLLHUP and EPOLLERR, which are always reported
      server.terminateWorker(asleep());
      await until(() => server.stats().connections.active === 1, 'the lost one closed');
      await other.echo('still served');
      await other.quit();
      await until(() => server.stats().connections.active === 0, 'both closed');
    }
    expect(server.stats().connections.closed).toMatchObject({ eof: 5, workerDied: 5, error: 0 });
  });
});

describe('workqueue', () => {
  it('restores its number of workers after deaths, even with no connection waiting', async () => {
    const { server, port, faults } = await start({ strategy: 'workqueue', workers: 3 });
    const idle = () => server.workers().filter(({ state }) => state === 'idle').length;
    for (let deaths = 1; deaths <= 3; deaths++) {
      const doomed = new Client(port);
      await doomed.echo('before');
      faults.order(WorkerFault.throw);
      doomed.send('fatal');
      await doomed.untilClosed();
      await until(() => server.stats().threads.died.error === deaths, 'the death');
      await until(() => idle() === 3, 'its successor');
    }
    expect(server.stats().threads).toMatchObject({ alive: 3, created: 6 });
  });
});

describe('kthread with one thread', () => {
  it('serves a queued connection on a new thread when the first dies', async () => {
    const { server, port, faults } = await start({ strategy: 'kthread', maxWorkers: 1 });
    const doomed = new Client(port);
    await doomed.echo('served');
    const waiting = await new Client(port).connected();
    waiting.send('waits');
    await until(() => server.stats().connections.queued === 1, 'one to wait');
    faults.order(WorkerFault.throw);
    doomed.send('fatal');
    expect((await waiting.readExactly(5)).toString()).toBe('waits');
  });
});

describe.each(['kthread', 'workqueue'] as const)('%s', (strategy) => {
  it.each(['error', 'outOfMemory'] as const)(
    'loses only the connection of a worker that dies by %s',
    async (way) => {
      const options = strategy === 'workqueue' ? { strategy, workers: 3 } : { strategy };
      const { server, port, faults } = await start(options);
      const [doomed, other] = [new Client(port), new Client(port)];
      await other.echo('before');
      await doomed.echo('before');
      for (let round = 0; round < 3; round++) {
        faults.order(ways[way]);
        const victim = round === 0 ? doomed : new Client(port);
        victim.send('fatal');
        await victim.untilClosed();
        expect(victim.errorCode).toBe('ECONNRESET');
        await other.echo(`after ${round}`);
      }
      expect(server.stats().threads.died[way]).toBe(3);
      expect(server.stats().connections.closed.workerDied).toBe(3);
      await other.quit();
      await until(() => server.stats().connections.active === 0, 'all connections closed');
      const next = new Client(port); // the pool still serves
      await next.echo('next');
    },
  );

  it('loses only the connection of a terminated worker', async () => {
    const { server, port } = await start({ strategy, ...(strategy === 'workqueue' ? { workers: 2 } : {}) });
    const doomed = new Client(port);
    await doomed.echo('first');
    const [id] = [1, 2].filter((worker) => server.terminateWorker(worker) && worker > 0);
    expect(id).toBeDefined();
    await doomed.untilClosed(); // after at most the second that recv may take
    await until(() => server.stats().connections.active === 0, 'the connection closed');
    const next = new Client(port);
    await next.echo('next');
  });
});
