/**
 * Goal: concurrency is managed as in the kernel, on the real server: sleeping items hand the slot on, hogging
 * ones lose it, and max_active holds.
 * Method: services that sleep and burn; assertions on counters, states and order. Where a thing must not
 * happen, the state is looked at when an event that can only come later has come.
 */
import { describe, expect, it } from 'vitest';
import type { Client } from './support/client.ts';
import { roundTrip, startManaged, UNWATCHED } from './support/managed-server.ts';
import { until } from './support/wait.ts';

/** An item that burns for a second or more is noticed, one of a moment is not, though it waits for a processor. */
const cpuIntensiveThreshMs = 300;

describe('blocking items', () => {
  it('20 sleeping items of one CPU pool sleep at the same time once there are enough workers', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, service: ['sleep:300ms'] });
    const clients = await connect(20);
    while (server.stats().threads.created < 22) await roundTrip(clients); // 20, one in reserve, the rescuer
    await until(() => server.stats().workers.idle + server.stats().workers.onDuty >= 21, 'all workers up');
    const before = server.stats().items;
    let seen = false;
    const rounds = async () => {
      do await roundTrip(clients);
      while (!seen); // on a busy machine a round may be over before it is looked at
    };
    const done = rounds();
    await until(() => server.stats().workers.blocked === 20, 'all 20 items asleep together');
    seen = true;
    await done;
    expect(server.stats().items.cmWakeup - before.cmWakeup).toBeGreaterThanOrEqual(19);
    expect(server.stats().items.mayday).toBe(before.mayday);
  });

  it('nobody waits for a sleeping item, and its connection keeps its order', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, service: ['sleep:2s', 'burn:0.1ms'] });
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
    const { server, connect } = await startManaged({ ...UNWATCHED, service: ['sleep:2s', 'burn:0.1ms'] });
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
    const { server, connect } = await startManaged({ ...UNWATCHED, maxActive: 2, service: ['sleep:150ms'] });
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
    const { server, connect } = await startManaged({
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
    const { server, connect } = await startManaged({
      cpus: 1,
      cpuIntensiveThreshMs: 0,
      service: ['burn:60ms'],
    });
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
    const { server, connect } = await startManaged({
      cpus: 1,
      cpuIntensiveThreshMs: 0,
      service: ['cpu-intensive,burn:2s', 'burn:0.1ms'],
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
    const { server, connect } = await startManaged({
      cpus: 1,
      cpuIntensiveThreshMs,
      service: ['sleep:200ms,burn:2s', 'burn:0.1ms'],
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
    const { server, connect } = await startManaged({ cpus: 2, service: ['burn:300ms'] });
    const [client] = (await connect(1)) as [Client];
    for (const request of ['x', 'y']) {
      await until(() => !server.watchdogRuns, 'the watchdog to sleep');
      const done = client.echo(request);
      await until(() => server.watchdogRuns, 'the watchdog to wake');
      await done;
    }
  });
});
