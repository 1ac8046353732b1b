/**
 * Goal: items that sleep without having declared it pass the slot on; items that compute, or wait for a processor, are
 * not taken for asleep, nor sleeping ones for CPU-intensive.
 * Method: a handler that sleeps or burns CPU time as the request says, and declares nothing; assertions on bytes,
 * counters and states. The rules themselves are tested on virtual clocks in monitor.test.ts.
 *
 * A thread that computes may truly fall asleep for a moment, which the monitor notices as it should: V8's threads share
 * locks, and all threads of a process the lock of its memory map. So where nothing may be noticed, two of some rounds must
 * be clean. With a rule that takes burners for sleepers hardly one is.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import { EchoServer } from '../src/server/server.ts';
import { type Client, connectTo } from './support/client.ts';
import { threadFaults, WorkerFault } from './support/faults.ts';
import { handlerFile } from './support/handlers.ts';
import { recordingLogger } from './support/log-output.ts';
import { startManaged, UNWATCHED } from './support/managed-server.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const MISSING = 'no monitor can be created; only declared sleeps are noticed';
const MOST_ROUNDS = 6;
const HANDLER = { handler: handlerFile('undeclared.ts') };

/** All clients send the same request. */
async function askAll(clients: readonly Client[], request: string): Promise<void> {
  await Promise.all(clients.map((client) => client.echo(request)));
}

/** What was found in one round. */
async function found(server: EchoServer, round: () => Promise<unknown>) {
  const { items: before } = server.stats();
  await round();
  const { items: after } = server.stats();
  return {
    noticed: after.noticed - before.noticed,
    cpuIntensive: after.cpuIntensive - before.cpuIntensive,
  };
}

/** What was found in the second of two rounds, of at most `MOST_ROUNDS`, in which nobody was `mistaken`. */
async function cleanRound(
  server: EchoServer,
  round: () => Promise<unknown>,
  mistaken: (round: Awaited<ReturnType<typeof found>>) => boolean,
) {
  for (let rounds = 0, clean = 0; rounds < MOST_ROUNDS; rounds++) {
    const result = await found(server, round);
    if (!mistaken(result)) clean++;
    if (clean === 2) return result;
  }
  throw new Error(`burners or sleepers were mistaken for the other in most of ${MOST_ROUNDS} rounds`);
}

/** Processes that keep the processors busy until the test ends. */
function busyProcesses(count: number): void {
  const children: ChildProcess[] = [];
  for (let i = 0; i < count; i++) children.push(spawn(process.execPath, ['-e', 'for (;;);']));
  onTestFinished(() => {
    for (const child of children) child.kill('SIGKILL');
  });
}

describe('undeclared sleeps', () => {
  it.each(['wait 100 ms', 'exec 100 ms'])(
    'of 20 items in one CPU pool pass the slot on: %s',
    async (request) => {
      const { server, connect } = await startManaged({ ...UNWATCHED, ...HANDLER });
      const clients = await connect(20);
      // A round may find too few workers up. In some round each sleeper, but for the last, passes the slot on.
      let noticed = 0;
      let cmWakeup = 0;
      while (Math.min(noticed, cmWakeup) < 19) {
        const before = server.stats().items;
        await askAll(clients, request);
        const after = server.stats().items;
        noticed = after.noticed - before.noticed;
        cmWakeup = after.cmWakeup - before.cmWakeup;
      }
      const { items } = server.stats();
      expect(items.cpuIntensive).toBe(0);
      const isAtRest = () => server.stats().cpuPools.every((pool) => pool.nrRunning + pool.nrActive === 0);
      await until(isAtRest, 'rest'); // an item ends after its echo
    },
  );

  it('end like any other item, and their connections survive', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, ...HANDLER });
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    sleeper.send('wait 4000 one');
    const asleep = await until(
      () => server.workers().find(({ state }) => state === 'blocked'),
      'the item to be noticed',
    );
    sleeper.send('two');
    for (let i = 0; i < 20; i++) await quick.echo(`quick ${i}`);
    expect(sleeper.available).toBe(0);
    expect(server.workers().filter(({ connection }) => connection === asleep.connection)).toHaveLength(1);
    expect((await sleeper.readExactly(16)).toString()).toBe('wait 4000 onetwo');
  });

  it('and ten burners: no sleeper is CPU-intensive, no burner asleep', async () => {
    const { server, connect } = await startManaged({ cpus: 1, cpuIntensiveThreshMs: 10, ...HANDLER });
    const [burners, sleepers] = [await connect(10), await connect(10)]; // connections 1 to 10, and 11 to 20
    const mistaken: object[] = [];
    const watch = setInterval(() => {
      for (const { state, connection } of server.workers())
        if (state === (Number(connection) <= burners.length ? 'blocked' : 'cpuIntensive'))
          mistaken.push({ state, connection });
    }, 1);
    onTestFinished(() => clearInterval(watch));
    const burn = () => askAll(burners, 'burn 40 ms');
    const sleep = () => askAll(sleepers, 'wait 60 ms');
    const burned = await cleanRound(server, burn, ({ noticed }) => noticed > 0);
    expect(burned.cpuIntensive).toBeGreaterThan(0);
    // What a sleeper runs for the first time may take it more than 10 ms on a slow machine.
    const slept = await cleanRound(server, sleep, ({ cpuIntensive }) => cpuIntensive > 0);
    expect(slept.noticed).toBeGreaterThan(0);
    const together = () => {
      mistaken.length = 0;
      return Promise.all([burn(), sleep()]);
    };
    const both = await cleanRound(server, together, () => mistaken.length > 0);
    expect(both.noticed).toBeGreaterThan(0);
    expect(both.cpuIntensive).toBeGreaterThan(0);
    expect(both.cpuIntensive).toBeLessThanOrEqual(burners.length);
  });

  it('are none where an item waits for a processor that other processes use', async () => {
    busyProcesses(FULL ? 4 : 2); // npm test runs other files beside it
    const { server, connect } = await startManaged({
      cpus: 1,
      cpuIntensiveThreshMs: 1000,
      handler: handlerFile('yields.ts'),
    });
    const clients = await connect(3);
    const burn = () => askAll(clients, 'burn 30 ms');
    const none = await cleanRound(server, burn, ({ noticed }) => noticed > 0);
    expect(none.cpuIntensive).toBe(0);
  });
});

describe('a monitor that cannot observe other threads', () => {
  it('logs that once, and uses declared sleeps and the clock', async () => {
    const { lines, logger } = recordingLogger();
    const { server, connect, faults } = await startManaged(
      { cpus: 1, ...HANDLER },
      logger,
      WorkerFault.blind,
    );
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    sleeper.send('wait 1000 ms');
    await until(() => server.stats().workers.cpuIntensive > 0, 'the sleeper to be taken for CPU-intensive');
    await quick.echo('quick');
    await sleeper.readExactly(12);
    const { noticed, cpuIntensive } = server.stats().items;
    expect(noticed).toBe(0);
    expect(cpuIntensive).toBeGreaterThan(0); // more if the quick one waits for a processor
    const said = lines.filter(({ msg }) => String(msg).startsWith('other threads cannot be observed'));
    expect(said).toMatchObject([{ reason: 'the CPU clocks of other threads cannot be read' }]);
    faults.order(WorkerFault.none);
  });
});

describe('a monitor that dies', () => {
  it('is counted, logged and replaced; connections and items continue meanwhile', async () => {
    const { lines, logger } = recordingLogger();
    const { server, connect, faults } = await startManaged({ ...UNWATCHED, ...HANDLER }, logger);
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    faults.order(WorkerFault.monitorDies);
    await sleeper.echo('wait 200 ms');
    await until(() => server.stats().threads.died.error === 1, 'its death');
    await quick.echo('quick');
    await sleeper.echo('wait 50 ms');
    const { noticed } = server.stats().items;
    while (server.stats().items.noticed === noticed) await sleeper.echo('wait 50 ms');
    expect(lines.filter(({ msg }) => msg === 'worker died')).toMatchObject([{ worker: 'monitor' }]);
    expect(server.stats().connections).toMatchObject({ active: 2, closed: { workerDied: 0 } });
  });

  it('between the seizure of a slot and its release: the slot comes free, and everybody is served', async () => {
    const { server, connect, faults } = await startManaged({ ...UNWATCHED, ...HANDLER });
    const [sleeper, ...others] = (await connect(5)) as [Client, ...Client[]];
    faults.order(WorkerFault.monitorDiesSeizing);
    sleeper.send('wait 5000 ms');
    await until(() => server.stats().threads.died.error === 1, 'its death');
    for (let i = 0; i < 3; i++) await askAll(others, `quick ${i}`);
    expect(sleeper.available).toBe(0);
    expect(server.workers().filter(({ connection }) => connection === 1)).toMatchObject([
      { state: 'blocked' },
    ]);
    expect((await sleeper.readExactly(12)).toString()).toBe('wait 5000 ms');
    await until(() => {
      const [pool] = server.stats().cpuPools;
      return pool?.nrActive === 0 && pool.nrRunning === 0;
    }, 'the end of the item');
    expect(server.stats().cpuPools).toMatchObject([{ connections: 5 }]);
    const { noticed } = server.stats().items;
    while (server.stats().items.noticed === noticed) await sleeper.echo('wait 50 ms'); // replaced
    expect(server.stats().connections).toMatchObject({ active: 5, closed: { workerDied: 0 } });
  });

  it('and cannot be replaced: that is logged once, and declared sleeps pass the slot on', async () => {
    const { lines, logger } = recordingLogger();
    const service = ['burn:0.01ms', 'sleep:3s'];
    const { server, connect, faults } = await startManaged({ ...UNWATCHED, service }, logger);
    const [quick] = (await connect(1)) as [Client];
    const [sleeper] = (await connect(1)) as [Client];
    faults.failCreations = Number.POSITIVE_INFINITY;
    faults.order(WorkerFault.monitorDies);
    while (server.stats().threads.createFailed < 2) await quick.echo('looked at'); // its creation fails again
    expect(server.notReadyReason).toBeNull();
    sleeper.send('x');
    await until(() => server.stats().workers.blocked === 1, 'the sleep');
    await quick.echo('quick');
    expect(sleeper.available).toBe(0);
    await sleeper.readExactly(1);
    expect(lines.filter(({ msg }) => msg === MISSING)).toHaveLength(1);
    const { created } = server.stats().threads;
    faults.failCreations = 0;
    await until(() => server.stats().threads.created > created, 'recovery');
  });
});

it('a monitor that cannot be created delays no start: that is logged, and it is created later', async () => {
  const { lines, logger } = recordingLogger();
  const faults = threadFaults();
  faults.spareCreations = 3; // two workers and the rescuer
  faults.failCreations = 1;
  const server = new EchoServer({ port: 0, ...UNWATCHED, service: ['burn:0.01ms'] }, logger);
  onTestFinished(async () => {
    await server.close({ drainTimeoutMs: 0 });
  });
  const { port } = await server.listen();
  const client = await connectTo(port);
  await client.echo('served');
  expect(server.notReadyReason).toBeNull();
  expect(lines.filter(({ msg }) => msg === MISSING)).toHaveLength(1);
  await until(() => server.stats().threads.created === 4, 'the monitor');
  await client.quit();
});
