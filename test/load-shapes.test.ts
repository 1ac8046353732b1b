/**
 * Goal: the uneven loads are what they say: all speakers of a skewed load are in one event loop of the server, wherever
 * it places connections; the shares of Zipf's law do not depend on how the server answers, and each request is accounted
 * for.
 * Method: the generator as a child process against servers in this process; asserts on counters, never on times.
 */
import type { Socket } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { eventLoops } from '../bench/load/event-loops.ts';
import { loadOptions } from '../bench/load/load-options.ts';
import { speakersAmong } from '../bench/load/skewed.ts';
import { zipfRanks } from '../bench/load/zipf.ts';
import { builtPeer } from '../bench/programs.ts';
import { seededRandom, shuffled } from '../bench/random.ts';
import { ServerUnderTest } from '../bench/server-under-test.ts';
import { startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { generate, startGenerator } from './support/load-bench.ts';
import { answersAfter, type Behaviour, deadPort, echo, resets, serverThat } from './support/load-servers.ts';
import { startServer } from './support/server.ts';
import { until } from './support/wait.ts';

describe('event loops', () => {
  it('of cmwq are its CPU pools: each connection is in one, as the server counts them', async () => {
    const { server, port } = await startServer({ cpus: 3 });
    for (let i = 0; i < 10; i++) await connectTo(port);
    await until(() => server.stats().connections.active === 10, 'all connections');
    const { loops, accepted } = eventLoops([process.pid], port);
    expect(accepted).toBe(10);
    const ascending = (numbers: readonly number[]) => numbers.toSorted((a, b) => a - b);
    expect(ascending(loops.map(({ length }) => length))).toEqual(
      ascending(server.stats().cpuPools.map(({ connections }) => connections)),
    );
    expect(new Set(loops.flat()).size).toBe(10);
  });

  it('are none for servers whose threads wait for one connection each, and for what has ended', async () => {
    const { server, port } = await startServer({ strategy: 'workqueue', workers: 2 });
    const client = await connectTo(port);
    await client.echo('x');
    expect(eventLoops([process.pid], port)).toEqual({ loops: [], accepted: 1 });
    await client.quit();
    await until(() => server.stats().connections.active === 0, 'its end');
    expect(eventLoops([2 ** 22 + 1], port)).toEqual({ loops: [], accepted: 0 });
  });
});

describe('speakers', () => {
  const open = [10, 11, 12, 13, 14, 15].map((localPort) => ({ localPort }));
  const ports = (connections: { localPort: number }[]) => connections.map(({ localPort }) => localPort);

  it('are in the largest event loop; silent connections of others come first', () => {
    const chosen = speakersAmong(open, [[10], [15, 13, 12, 11]], 3);
    expect(ports(chosen?.speakers ?? [])).toEqual([11, 12, 13]);
    expect(ports(chosen?.silent ?? [])).toEqual([10, 14, 15]);
  });

  it('are not chosen while no event loop has enough', () => {
    expect(
      speakersAmong(
        open,
        [
          [10, 11],
          [12, 13],
          [14, 15],
        ],
        3,
      ),
    ).toBeNull();
  });

  it('are every second connection where there are no event loops', () => {
    const chosen = speakersAmong(open, [], 3);
    expect(ports(chosen?.speakers ?? [])).toEqual([10, 12, 14]);
    expect(ports(chosen?.silent ?? [])).toEqual([11, 13, 15]);
  });
});

describe('a skewed load', () => {
  const PATIENT = ['--duration-ms', '60000', '--timeout-ms', '60000'];
  const SKEWED = ['--shape', 'skewed', '--watch-pid', String(process.pid)];

  it('speaks to one CPU pool only', async () => {
    const { server, port } = await startServer({ cpus: 4 });
    // Two speakers are too few for a backlog, because of which a server might move one.
    const args = [...SKEWED, '--clients', '4', '--requests', '3000', ...PATIENT];
    const { run } = await generate('--port', String(port), ...args);
    expect(run).toMatchObject({ clients: 4, completed: 6000, errorTotal: 0 });
    expect(server.stats().echoes).toBe(6000);
    const cpuTimesMs = server.stats().cpuPools.map(({ cpuTimeMs }) => cpuTimeMs);
    const totalMs = cpuTimesMs.reduce((sum, ms) => sum + ms, 0);
    expect(Math.max(...cpuTimesMs), String(cpuTimesMs)).toBeGreaterThan(0.7 * totalMs);
  });

  it('opens connections until one event loop has the speakers, and keeps as many silent ones', async () => {
    // It deals connections to its threads in turn.
    const command = { command: builtPeer('epoll.c'), args: ['--threads', '4'] };
    const server = await ServerUnderTest.start('C epoll', command);
    onTestFinished(() => server.process.stop(true));
    const { pid } = server.process;
    const args = ['--shape', 'skewed', '--watch-pid', String(pid), '--clients', '4', '--stdin-stops'];
    const load = startGenerator('--port', String(server.port), ...args, ...PATIENT);
    await until(() => {
      const { accepted, loops } = eventLoops([pid], server.port);
      return accepted === 4 && loops.some(({ length }) => length === 2);
    }, 'two connections in one event loop, and two silent ones');
    load.process.stdin?.end();
    await load.untilEnded();
    expect(JSON.parse(load.stdout)).toMatchObject({ opened: 8, errorTotal: 0, partial: true });
  });

  it.each([
    ['without event loops', SKEWED],
    ['of which no process is watched', ['--shape', 'skewed']],
  ])('makes every second connection speak to a server %s', async (_, args) => {
    const { server, port } = await startServer({ strategy: 'workqueue', workers: 6 });
    const more = ['--clients', '6', '--requests', '10', ...PATIENT];
    const { run } = await generate('--port', String(port), ...args, ...more);
    expect(run).toMatchObject({ opened: 6, completed: 30, errorTotal: 0 });
    expect(server.stats().echoes).toBe(30);
  });

  it('has an error that names the reason if the server does not accept its connections', async () => {
    const { child, port } = await startBin(['--no-pretty']);
    child.signal('SIGSTOP');
    const args = [
      '--shape',
      'skewed',
      '--watch-pid',
      String(child.pid),
      '--clients',
      '4',
      '--timeout-ms',
      '200',
    ];
    const { run } = await generate('--port', String(port), ...args);
    child.signal('SIGCONT');
    expect(run).toMatchObject({ completed: 0, errorTotal: 1, errors: { other: 1 } });
    expect(run.errorDetails).toEqual(['other: no event loop of the server has 2 connections']);
  });
});

describe("a load by Zipf's law", () => {
  const CLIENTS = 8;
  const PLANNED = 200;
  const ARGS = ['--mode', 'open', '--shape', 'zipf', '--clients', String(CLIENTS), '--seed', '7'];
  /** PLANNED requests in one second. */
  const RATE = ['--rate', String(PLANNED), '--duration-ms', '1000', '--timeout-ms', '20000'];

  /** A server that counts the requests of each connection. */
  async function counting(behaviour: Behaviour): Promise<{ port: number; counts: () => number[] }> {
    const bytes: number[] = [];
    const port = await serverThat((socket: Socket) => {
      const connection = bytes.push(0) - 1;
      socket.on('data', (data) => {
        bytes[connection] = (bytes[connection] ?? 0) + data.length;
      });
      behaviour(socket);
    });
    return { port, counts: () => bytes.map((n) => n / 64).toSorted((a, b) => b - a) };
  }

  function expectedCounts(): number[] {
    const random = seededRandom(7);
    shuffled(new Array<number>(CLIENTS).fill(0), random); // the ranks of the connections
    const next = zipfRanks(CLIENTS, random);
    const counts = new Array<number>(CLIENTS).fill(0);
    for (let i = 0; i < PLANNED; i++) {
      const rank = next();
      counts[rank] = (counts[rank] ?? 0) + 1;
    }
    return counts.toSorted((a, b) => b - a);
  }

  it('draws ranks with shares 1, 1/2, 1/3 and so on', () => {
    const next = zipfRanks(4, seededRandom(1));
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 50_000; i++) {
      const rank = next();
      counts[rank] = (counts[rank] ?? 0) + 1;
    }
    for (const [rank, share] of [24, 12, 8, 6].entries())
      expect(Math.abs((counts[rank] ?? 0) - share * 1000)).toBeLessThan(500);
  });

  it.each([
    ['at once', echo],
    ['after 30 ms', answersAfter(30)],
  ])('has the same shares whether the server answers %s', async (_, behaviour) => {
    const { port, counts } = await counting(behaviour);
    const { run } = await generate('--port', String(port), ...ARGS, ...RATE);
    expect(run).toMatchObject({ due: PLANNED, unsent: 0, errorTotal: 0 });
    expect(run.response.count).toBe(PLANNED);
    expect(counts()).toEqual(expectedCounts());
  });

  it('counts response times from when requests were due, while their connection was busy', async () => {
    const { port } = await counting(answersAfter(30));
    const { run } = await generate('--port', String(port), ...ARGS, ...RATE);
    // The most frequent connection gets 74 requests a second, and can carry 33.
    expect(run.response.worstMs).toBeGreaterThan(500);
    expect(run.responseRaw?.p50Ms).toBeLessThan(run.response.worstMs / 4);
  });

  it.each([
    ['a server that is too slow, after a warm-up', answersAfter(400), 0, '200'],
    ['connections that are all lost at once', resets, CLIENTS, '0'],
    ['no listener', null, CLIENTS, '0'],
  ])('accounts for every request with %s', async (_, behaviour, errors, warmupMs) => {
    const port = behaviour === null ? await deadPort() : await serverThat(behaviour);
    const args = ['--rate', '300', '--duration-ms', '1000', '--timeout-ms', '3000', '--warmup-ms', warmupMs];
    const { run } = await generate('--port', String(port), ...ARGS, ...args);
    expect([run.due, run.errorTotal]).toEqual([300, errors]);
    expect(run.unsent).toBeGreaterThan(100);
    const lost = behaviour === null ? 0 : errors; // a failed connect loses no request
    expect(run.response.count + lost + (run.unsent ?? 0)).toBe(300);
  });
});

it.each([
  [
    ['--mode', 'burst', '--shape', 'skewed'],
    '--shape: "skewed" is not allowed: only with --mode closed, not burst',
  ],
  [['--shape', 'zipf'], '--shape: "zipf" is not allowed: only with --mode open, not closed'],
  [['--shape', 'round'], '--shape: "round" is not allowed: one of even, skewed, zipf'],
])('%j is refused', (args, message) => {
  expect(() => loadOptions(['--port', '1', '--clients', '2', ...args])).toThrow(message);
});
