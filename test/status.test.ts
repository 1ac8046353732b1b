/**
 * Goal: one snapshot has all figures that a watcher needs, and they are correct.
 * Method: servers in this process under each strategy with known traffic; every figure that the traffic determines is
 * compared.
 */
import { describe, expect, it } from 'vitest';
import { Events } from '../src/log/events.ts';
import { EchoCheck, EchoSample, isDispatchMeasured } from '../src/memory/latency.ts';
import { SharedState } from '../src/memory/layout.ts';
import { connectTo } from './support/client.ts';
import { STRATEGIES, startServer, untilActive } from './support/server.ts';
import { until } from './support/wait.ts';

describe.each(STRATEGIES)('%s', (strategy) => {
  const options = { kthread: {}, workqueue: { workers: 2 }, cmwq: { cpus: 1 } }[strategy];

  it('shows traffic, workers, latencies and events', async () => {
    const { server, port } = await startServer({ strategy, ...options });
    const clients = [await connectTo(port), await connectTo(port)];
    for (const client of clients) for (let i = 0; i < 40; i++) await client.echo(`message ${i}`);
    const status = await until(() => {
      const found = server.status();
      return found.latency.echo.count >= 80 && found.stats.echoes >= 80 && found; // counted after it is sent
    }, 'the last echo to be counted');
    expect(status).toMatchObject({
      pid: process.pid,
      node: process.version,
      address: { address: '127.0.0.1', port },
      stats: { state: 'listening', strategy, echoes: 80, connections: { accepted: 2, active: 2 } },
    });
    expect(status.process.descriptors).toBeGreaterThan(2);
    expect(status.process.residentBytes).toBeGreaterThan(1 << 20);
    const { dispatch, echo } = status.latency;
    expect(dispatch.count).toBe(1); // the first connection is always measured
    expect(echo.count).toBe(80); // few echoes: every one
    for (const { counts, count, sumSeconds, boundsSeconds } of [dispatch, echo]) {
      expect(counts.reduce((sum, n) => sum + n, 0)).toBe(count);
      expect(counts).toHaveLength(boundsSeconds.length + 1);
      expect(sumSeconds).toBeGreaterThan(0);
      expect(sumSeconds).toBeLessThan(60 * count);
    }
    const echoes = status.workers.reduce((sum, worker) => sum + worker.echoes, 0);
    expect(echoes).toBe(80);
    const made = status.events.filter(({ kind }) => kind === 'threadMade');
    expect(made).toHaveLength(status.stats.threads.created);
    expect(status.events.at(-1)?.seq).toBe(status.events.length);
    expect(status.limits.cpus).toBe(strategy === 'cmwq' ? 1 : null);
    for (const client of clients) await client.quit();
    await untilActive(server, 0);
    await server.close();
    expect(server.status()).toMatchObject({ address: null, stats: { state: 'stopped' } });
    expect(server.status().events.at(-1)?.kind).toBe('draining');
  });
});

describe('echo samples', () => {
  const shared = () => SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 0 });
  const measured = (sample: EchoSample, echoes: number) =>
    Array.from({ length: echoes }, () => sample.next()).filter(Boolean).length;

  it('are all of them while there are few', () => {
    const memory = shared();
    const check = new EchoCheck(memory);
    const sample = new EchoSample(memory);
    for (let echoes = 0; echoes < 50_000; echoes += 1000) {
      check.take(echoes);
      expect(measured(sample, 1000)).toBe(1000);
    }
  });

  it('are one in 64 where there are many, also of a worker that begins then', () => {
    const memory = shared();
    const check = new EchoCheck(memory);
    const sample = new EchoSample(memory);
    expect(measured(sample, 1000 + 64 * 90)).toBe(1000 + 90); // main has not checked yet
    check.take(1000 + 64 * 90);
    expect(measured(sample, 6400)).toBe(100);
    expect(measured(new EchoSample(memory), 6400)).toBe(100);
    check.take(7000); // few again: from the next echo on
    expect(measured(sample, 10)).toBe(10);
  });
});

describe('dispatch samples', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 16])('cover a fourth of each of %i services', (services) => {
    const each = 4000;
    const measured = Array<number>(services).fill(0);
    for (let id = 1; id <= services * each; id++) {
      const service = (id - 1) % services;
      if (isDispatchMeasured(id)) measured[service] = (measured[service] as number) + 1; // filled above
    }
    expect(Math.min(...measured)).toBeGreaterThan(each * 0.24);
    expect(Math.max(...measured)).toBeLessThan(each * 0.26);
  });
});

describe('cmwq', () => {
  it('shows the sleeping worker with its item, and the slot holder', async () => {
    const { server, port } = await startServer({
      cpus: 1,
      cpuIntensiveThreshMs: 60_000, // it must fall asleep with the slot, on a busy machine too
      service: ['sleep:60s', 'burn:0.1ms'],
    });
    const [sleeper, other] = [await connectTo(port), await connectTo(port)];
    sleeper.send('x');
    await until(() => server.status().workers.some(({ state }) => state === 'blocked'), 'the item to sleep');
    await other.echo('the slot was handed on');
    // The other item ends shortly after its echo arrives; its worker keeps the slot.
    const { workers, stats } = await until(() => {
      const status = server.status();
      const [pool] = status.stats.cpuPools;
      return pool?.slot !== 'free' && pool?.nrActive === 1 && status;
    }, 'a holder between items');
    const [pool] = stats.cpuPools;
    expect(workers.find(({ state }) => state === 'blocked')).toMatchObject({
      pool: 0,
      connection: 1,
      holdsSlot: false,
    });
    expect(pool).toMatchObject({ connections: 2, nrActive: 1, nrRunning: 0 });
    expect(workers.find(({ holdsSlot }) => holdsSlot)?.id).toBe(pool?.slot);
    expect(workers.find(({ state }) => state === 'rescuer')).toMatchObject({ pool: null, connection: null });
  });

  it('aggregates slotTaken events', async () => {
    const { server, port } = await startServer({ cpus: 1, cpuIntensiveThreshMs: 1, service: ['burn:4ms'] });
    const client = await connectTo(port);
    const taken = () => server.status().events.filter(({ kind }) => kind === 'slotTaken');
    await until(async () => {
      await client.echo('x');
      return server.stats().items.cpuIntensive >= 20;
    }, 'many slots to be taken');
    const { cpuIntensive } = server.stats().items;
    await client.quit();
    await server.close();
    expect(taken()[0]).toMatchObject({ detail: { pool: 0, times: 1 } });
    expect(taken().length).toBeLessThan(cpuIntensive / 2);
    expect(taken().reduce((sum, { detail }) => sum + Number(detail.times), 0)).toBe(
      server.stats().items.cpuIntensive,
    );
  });
});

describe('Events', () => {
  it('keeps the last 200, oldest first', () => {
    const events = new Events();
    expect(events.recent()).toEqual([]);
    for (let i = 1; i <= 200; i++) events.add('workerCulled', { worker: i });
    expect(events.recent().map(({ seq }) => seq)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
    for (let i = 201; i <= 450; i++) events.add('workerCulled', { worker: i });
    const recent = events.recent();
    expect(recent.map(({ seq }) => seq)).toEqual(Array.from({ length: 200 }, (_, i) => i + 251));
    expect(recent.every(({ seq, detail }) => detail.worker === seq)).toBe(true);
  });
});
