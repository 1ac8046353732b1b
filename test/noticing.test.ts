/**
 * Goal: items that sleep without having declared it pass the slot on; items that compute, or wait for a processor, are
 * not taken for asleep, nor sleeping ones for CPU-intensive.
 * Method: handlers of test/support/faulty/undeclared.ts that sleep when a request says so; assertions on counters and
 * states. The rules themselves are tested on virtual clocks in monitor.test.ts.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Client } from './support/client.ts';
import { WorkerFault } from './support/faults.ts';
import { recordingLogger } from './support/log-output.ts';
import { startManaged, UNWATCHED } from './support/managed-server.ts';
import { until } from './support/wait.ts';

/** A service that does next to nothing: without one there is no monitor. */
const QUICK = 'burn:0.01ms';

/** All clients send the same request. */
async function askAll(clients: readonly Client[], request: string): Promise<void> {
  await Promise.all(clients.map((client) => client.echo(request)));
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
      const { server, connect } = await startManaged({ ...UNWATCHED, service: [QUICK] });
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
      await until(() => server.stats().workers.onDuty <= 1 && server.stats().workers.blocked === 0, 'rest');
      expect(server.stats().cpuPools).toMatchObject([{ nrRunning: 0, nrActive: 0 }]);
    },
  );

  it('end like any other item, and their connections survive', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, service: [QUICK] });
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    sleeper.send('wait 2000 one');
    await until(() => server.stats().workers.blocked === 1, 'the item to be noticed');
    sleeper.send('two');
    for (let i = 0; i < 20; i++) await quick.echo(`quick ${i}`);
    expect(sleeper.available).toBe(0);
    expect(server.stats().workers.blocked).toBe(1);
    expect((await sleeper.readExactly(16)).toString()).toBe('wait 2000 onetwo');
  });

  it('and ten burners: no sleeper is CPU-intensive, no burner asleep', async () => {
    const { server, connect } = await startManaged({
      cpus: 1,
      cpuIntensiveThreshMs: 10,
      service: ['burn:40ms', QUICK],
    });
    const clients = await connect(20);
    const burners = clients.filter((_, i) => i % 2 === 0);
    const sleepers = clients.filter((_, i) => i % 2 === 1);
    /** One round in which no thread is created: while V8 loads one, it makes others wait for its locks. */
    const steadyRound = async (round: () => Promise<unknown>) => {
      for (;;) {
        const { items: before, threads } = server.stats();
        await round();
        const { items: after, threads: now } = server.stats();
        if (now.created !== threads.created) continue;
        return {
          noticed: after.noticed - before.noticed,
          cpuIntensive: after.cpuIntensive - before.cpuIntensive,
        };
      }
    };
    const burn = () => burners.map((client) => client.echo('burns'));
    const sleep = () => sleepers.map((client) => client.echo('wait 60 ms'));
    const burned = await steadyRound(() => Promise.all(burn()));
    expect(burned.noticed).toBe(0);
    expect(burned.cpuIntensive).toBeGreaterThan(0);
    const slept = await steadyRound(() => Promise.all(sleep()));
    expect(slept.noticed).toBeGreaterThan(0);
    expect(slept.cpuIntensive).toBe(0);
    const both = await steadyRound(() => Promise.all([...burn(), ...sleep()]));
    expect(both.noticed).toBeGreaterThan(0);
    expect(both.noticed).toBeLessThanOrEqual(sleepers.length);
    expect(both.cpuIntensive).toBeGreaterThan(0);
    expect(both.cpuIntensive).toBeLessThanOrEqual(burners.length);
  });

  it('are none where an item waits for a processor that other processes use', async () => {
    busyProcesses(4);
    const { server, connect } = await startManaged({
      cpus: 1,
      cpuIntensiveThreshMs: 1000,
      service: ['burn:30ms'],
    });
    const clients = await connect(10);
    await askAll(clients, 'burns'); // code loads, threads start: these sleep
    const before = server.stats().items;
    for (let i = 0; i < 3; i++) await askAll(clients, 'burns');
    const { noticed, cpuIntensive } = server.stats().items;
    expect([noticed, cpuIntensive]).toEqual([before.noticed, 0]);
  });
});

describe('a monitor that cannot observe other threads', () => {
  it('says so once and goes by declared sleeps and the clock', async () => {
    const { lines, logger } = recordingLogger();
    const { server, connect, faults } = await startManaged(
      { cpus: 1, service: [QUICK] },
      logger,
      WorkerFault.blind,
    );
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    sleeper.send('wait 1000 ms');
    await until(() => server.stats().workers.cpuIntensive === 1, 'the sleeper to be taken for CPU-intensive');
    await quick.echo('quick');
    await sleeper.readExactly(12);
    expect(server.stats().items).toMatchObject({ noticed: 0, cpuIntensive: 1 });
    const said = lines.filter(({ msg }) => String(msg).startsWith('other threads cannot be observed'));
    expect(said).toMatchObject([{ reason: 'the CPU clocks of other threads cannot be read' }]);
    faults.order(WorkerFault.none);
  });
});

describe('a monitor that dies', () => {
  it('is counted, logged and replaced; connections and items continue meanwhile', async () => {
    const { lines, logger } = recordingLogger();
    const { server, connect, faults } = await startManaged({ ...UNWATCHED, service: [QUICK] }, logger);
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
});
