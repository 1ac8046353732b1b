/**
 * Goal: the real server manages concurrency as the kernel does: sleeping items give up the slot, hogging ones lose it,
 * and max_active holds.
 * Method: services that sleep and burn; assertions on counters, states and order. That something does not happen is
 * asserted after an event that can only come later.
 */
import { describe, expect, it } from 'vitest';
import type { EchoServer } from '../src/server/server.ts';
import type { Client } from './support/client.ts';
import { roundTrip, startManaged, UNWATCHED } from './support/managed-server.ts';
import { until } from './support/wait.ts';

/** Detects an item that burns for a second, but not a short one that waits for a CPU. */
const cpuIntensiveThreshMs = 300;
/** Longer than several echoes take on a busy machine. */
const LONG_SLEEP = 'sleep:4s';

/** The connection of the only worker that sleeps in an item, once there is one. */
function untilAsleep(server: EchoServer): Promise<number> {
  return until(() => {
    const asleep = server.workers().filter(({ state }) => state === 'blocked');
    return asleep.length === 1 && asleep[0]?.connection;
  }, 'the item to sleep');
}

/** One worker is in an item of this connection, and sleeps. */
function expectAsleep(server: EchoServer, asleep: number): void {
  expect(server.workers().filter(({ connection }) => connection === asleep)).toMatchObject([
    { state: 'blocked' },
  ]);
}

describe('blocking items', () => {
  it('sleep concurrently, 20 in one CPU pool, once there are enough workers', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, service: ['sleep:1s'] });
    const clients = await connect(20);
    while (server.stats().threads.created < 23) await roundTrip(clients); // 20, one in reserve, rescuer, monitor
    await until(() => server.stats().workers.idle + server.stats().workers.onDuty >= 21, 'all workers up');
    const before = server.stats().items;
    let seen = false;
    const rounds = async () => {
      do await roundTrip(clients);
      while (!seen); // on a busy machine a round may be over before it is observed
    };
    const done = rounds();
    await until(() => server.stats().workers.blocked === 20, 'all 20 items asleep together');
    seen = true;
    await done;
    expect(server.stats().items.cmWakeup - before.cmWakeup).toBeGreaterThanOrEqual(19);
    expect(server.stats().items.mayday).toBe(before.mayday);
  });

  it('hold up no other connection, and keep their own in order', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, service: [LONG_SLEEP, 'burn:0.1ms'] });
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    sleeper.send('one');
    const asleep = await untilAsleep(server);
    sleeper.send('two');
    for (let i = 0; i < 10; i++) await quick.echo(`quick ${i}`);
    expect(sleeper.available).toBe(0);
    expectAsleep(server, asleep); // readable, but never run twice at once
    expect((await sleeper.readExactly(6)).toString()).toBe('onetwo');
  });

  it('end only their own connection, once, when its client hangs up', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, service: [LONG_SLEEP, 'burn:0.1ms'] });
    const [sleeper, quick] = (await connect(2)) as [Client, Client];
    sleeper.send('x');
    const asleep = await untilAsleep(server);
    sleeper.reset(); // EPOLLHUP and EPOLLERR from now on
    for (let i = 0; i < 10; i++) await quick.echo(`quick ${i}`);
    expectAsleep(server, asleep);
    await until(() => server.stats().connections.active === 1, 'the end of the sleeper');
    expect(server.stats().connections.closed).toMatchObject({ eof: 0, error: 1, workerDied: 0 });
    await quick.echo('still there');
  });

  it('begin up to max_active, and the next one as soon as one ends', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, maxActive: 2, service: ['sleep:150ms'] });
    const clients = await connect(5);
    let most = 0;
    while (most < 2) {
      // on a busy machine a round may be over before it is observed
      const goal = server.stats().items.completed + 5;
      const done = roundTrip(clients);
      while (server.stats().items.completed < goal) {
        const { items, workers } = server.stats();
        // Workers are counted one after the other: if an item began meanwhile, three may have been seen asleep.
        if (server.stats().items.started === items.started) most = Math.max(most, workers.blocked);
        expect(items.started - items.completed).toBeLessThanOrEqual(2);
        await new Promise(setImmediate);
      }
      await done;
    }
    expect(most).toBe(2);
    const { cpuPools } = server.stats();
    expect(cpuPools[0]?.nrRunning).toBe(0);
  });
});

describe('CPU-intensive items', () => {
  it('lose the slot when they run too long, and the pool keeps working', async () => {
    const { server, connect } = await startManaged({
      cpus: 1,
      cpuIntensiveThreshMs,
      service: ['burn:1s', 'burn:0.1ms'],
    });
    const [hog, quick] = (await connect(2)) as [Client, Client];
    hog.send('x');
    await until(() => server.stats().workers.cpuIntensive === 1, 'the hog to be noticed');
    for (let i = 0; i < 5; i++) await quick.echo(`quick ${i}`);
    expect(hog.available).toBe(0);
    expect(server.stats().items.cpuIntensive).toBe(1);
    await hog.readExactly(1);
  });

  it('run one after another with the threshold at 0', async () => {
    const { server, connect } = await startManaged({
      cpus: 1,
      cpuIntensiveThreshMs: 0,
      service: ['burn:60ms'],
    });
    const clients = await connect(4);
    const round = async () => {
      const { completed, noticed } = server.stats().items;
      let most = 0;
      const done = roundTrip(clients);
      while (server.stats().items.completed < completed + 4) {
        const { items, workers } = server.stats();
        most = Math.max(most, items.started - items.completed);
        expect(workers.cpuIntensive).toBe(0);
        await new Promise(setImmediate);
      }
      return { most, order: await done, noticed: server.stats().items.noticed - noticed };
    };
    // One that computes may truly fall asleep for a moment (see noticing.test.ts), and then the next one begins.
    let found = await round();
    while (found.noticed > 0) found = await round();
    expect(found).toEqual({ most: 1, order: [0, 1, 2, 3], noticed: 0 });
    expect(server.stats().items.cpuIntensive).toBe(0);
  });

  it('leave the count at once when declared so, without the monitor', async () => {
    const { server, connect } = await startManaged({
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

  it('are detected after a sleep too', async () => {
    const { server, connect } = await startManaged({
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

  it('are watched for only while an item runs', async () => {
    const { server, connect } = await startManaged({ cpus: 2, service: ['burn:300ms'] });
    const [client] = (await connect(1)) as [Client];
    for (const request of ['x', 'y']) {
      await until(() => !server.monitorLooks, 'the monitor to sleep');
      let seen = false;
      const rounds = async () => {
        do await client.echo(request);
        while (!seen); // on a busy machine an item may be over before this is observed
      };
      const done = rounds();
      await until(() => server.monitorLooks, 'the monitor to wake');
      seen = true;
      await done;
    }
  });
});
