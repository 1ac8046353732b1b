/**
 * Goal: each strategy uses threads as documented. kthread: one per connection. workqueue: a fixed number, other
 * connections wait in order. cmwq: one per CPU pool and one in reserve, however many connections; others are culled.
 * Method: servers in this process; threads are counted by the server and, independently, by the kernel in
 * /proc/self/task. A connection counts as still waiting once others have made a full round trip.
 */
import { describe, expect, it } from 'vitest';
import type { EchoServer } from '../src/index.ts';
import { type Client, connectTo, pattern } from './support/client.ts';
import { threads } from './support/process.ts';
import { startServer, untilActive } from './support/server.ts';
import { inParallel, until, untilSteady, within } from './support/wait.ts';

function alive(server: EchoServer): number {
  return server.stats().threads.alive;
}

/** Waits until server and kernel agree on `count` more threads than `before`. */
async function untilThreads(server: EchoServer, before: number, count: number): Promise<void> {
  await until(
    () => alive(server) === count && threads() === before + count,
    () => `${count} threads (server: ${alive(server)}, kernel: ${threads() - before})`,
  );
}

/** Threads of this process without a server, after a warm-up. */
async function threadsBefore(): Promise<number> {
  const { server, port } = await startServer({ strategy: 'kthread' });
  await (await connectTo(port)).quit();
  await server.close();
  await until(() => alive(server) === 0, 'the threads of the warm-up to be gone');
  return untilSteady(threads, 'the threads that the kernel lists'); // it lists a joined one for a moment longer
}

describe('kthread', () => {
  it('has as many threads as connections', async () => {
    const before = await threadsBefore();
    const { server, port } = await startServer({ strategy: 'kthread' });
    await untilThreads(server, before, 0);
    const clients: Client[] = [];
    for (let i = 1; i <= 8; i++) {
      const client = await connectTo(port);
      await client.echo(`number ${i}`);
      clients.push(client);
      await untilThreads(server, before, i);
    }
    for (const client of clients.slice(0, 5)) await client.quit();
    await untilThreads(server, before, 3);
    for (const client of clients.slice(5)) await client.echo('still served');
    for (const client of clients.slice(5)) await client.quit();
    await untilThreads(server, before, 0);
    expect(server.stats().threads).toMatchObject({ created: 8 });
  });

  it('creates at most maxWorkers threads; other connections wait', async () => {
    const { server, port } = await startServer({ strategy: 'kthread', maxWorkers: 2 });
    const [first, second] = [await connectTo(port), await connectTo(port)];
    for (const client of [first, second]) await client.echo('served');
    const third = await connectTo(port, { first: Buffer.from('waiting') });
    await until(() => server.stats().connections.queued === 1, 'the third to wait');
    for (const client of [first, second]) await client.echo('served');
    expect({ alive: alive(server), answered: third.available }).toEqual({ alive: 2, answered: 0 });
    await first.quit();
    expect((await third.readExactly(7)).toString()).toBe('waiting');
  });
});

describe('workqueue', () => {
  /** Connects, sends its number, and waits until the server has it. */
  async function arrive(server: EchoServer, port: number, number: number): Promise<Client> {
    const client = await connectTo(port, { first: Buffer.of(number) });
    await untilActive(server, number);
    return client;
  }

  it('serves one connection per worker; others wait first in, first out', async () => {
    const { server, port } = await startServer({ strategy: 'workqueue', workers: 2 });
    const clients: Client[] = [];
    for (let number = 1; number <= 5; number++) clients.push(await arrive(server, port, number));
    const [first, second, third, fourth, fifth] = clients as [Client, Client, Client, Client, Client];
    for (const client of [first, second]) await client.readExactly(1);
    await until(() => server.stats().connections.queued === 3, 'three to wait');

    const answered = () => [third, fourth, fifth].map((client) => client.available);
    for (const client of [first, second]) await client.echo('a round trip');
    expect(answered()).toEqual([0, 0, 0]);

    await first.quit();
    expect(await third.readExactly(1)).toEqual(Buffer.of(3));
    for (const client of [second, third]) await client.echo('a round trip');
    expect(answered()).toEqual([0, 0, 0]);

    await second.quit();
    expect(await fourth.readExactly(1)).toEqual(Buffer.of(4));
    await third.echo('a round trip');
    expect(answered()).toEqual([0, 0, 0]);

    await third.quit();
    expect(await fifth.readExactly(1)).toEqual(Buffer.of(5));
    expect(server.stats().connections.queued).toBe(0);
    expect(server.stats().threads).toMatchObject({ alive: 2, created: 2 });
  });
});

describe('cmwq', () => {
  /** A thread besides the workers, for when no worker can be created. It serves no connections otherwise. */
  const RESCUER = 1;

  it('serves 1,000 connections on cpus + 1 threads', async () => {
    const before = await threadsBefore();
    // On a busy machine an echo may take long; none must count as CPU-intensive, which would create another worker.
    const cpuIntensiveThreshMs = 60_000;
    const { server, port } = await startServer({ strategy: 'cmwq', cpus: 2, cpuIntensiveThreshMs });
    await untilThreads(server, before, 3 + RESCUER);
    const clients: Client[] = [];
    await inParallel(1000, 50, async (i) => {
      clients[i] = await connectTo(port, { first: pattern(100, i) });
    });
    await inParallel(1000, 50, async (i) => {
      const client = clients[i] as Client; // filled above
      expect((await client.readExactly(100)).equals(pattern(100, i))).toBe(true);
      await client.echo(pattern(1 + (i % 500), 7 * i));
    });
    await untilThreads(server, before, 3 + RESCUER);
    const { connections, cpuPools, threads: made, workers, items } = server.stats();
    expect(connections).toMatchObject({ accepted: 1000, active: 1000, queued: 0 });
    // By CPU time of late, of which a worker has less while it waits for a processor. See placement.test.ts.
    expect(cpuPools.reduce((sum, pool) => sum + pool.connections, 0)).toBe(1000);
    for (const pool of cpuPools) expect(pool.connections).toBeGreaterThan(250);
    expect(workers.onDuty + workers.idle).toBe(3);
    expect(made.created).toBe(3 + RESCUER);
    expect(items).toMatchObject({ rescued: 0 });
    await inParallel(1000, 50, async (i) => (clients[i] as Client).quit());
    await untilActive(server, 0);
    expect(server.stats().cpuPools.map((pool) => pool.connections)).toEqual([0, 0]);
  });

  it('culls idle workers down to two', async () => {
    const before = await threadsBefore();
    const { server, port } = await startServer({ strategy: 'cmwq', cpus: 4, idleTimeoutMs: 250 });
    const clients = await Promise.all(Array.from({ length: 8 }, () => connectTo(port)));
    for (const client of clients) await client.echo('hello');
    await until(() => server.stats().workers.onDuty === 4, 'a worker on duty for each CPU pool');
    await until(() => server.stats().workers.idle >= 1, 'one worker in reserve');
    for (const client of clients) await client.quit();
    await untilThreads(server, before, 2 + RESCUER);
    const { workers, threads: made } = server.stats();
    expect(workers).toMatchObject({ onDuty: 0, idle: 2 });
    // More, where a new worker came to the thread of a culled one before that had ended.
    expect(made.culled).toBeGreaterThanOrEqual(made.created - 2 - RESCUER);
    expect(made.culled).toBeGreaterThanOrEqual(3);
    await (await connectTo(port)).echo('the two that are left serve');
  });

  it('starts even if idleTimeout is shorter than the start', async () => {
    const { port } = await within(startServer({ strategy: 'cmwq', cpus: 4, idleTimeoutMs: 1 }), 'the start');
    await (await connectTo(port)).echo('hello');
  });
});
