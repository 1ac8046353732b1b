/**
 * Goal: a connection beyond a limit is refused at once by a reset and counted by reason; a thousand refusals are a few
 * log lines; admitted connections are not affected.
 * Method: servers with small limits in this process, clients from different loopback addresses, a log in memory; the
 * log's rate limit on fake timers.
 */
import { connect } from 'node:net';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createEchoServer } from '../src/index.ts';
import { RateLimit } from '../src/log/rate-limit.ts';
import { PerAddress } from '../src/server/per-address.ts';
import { Refusals } from '../src/server/refusals.ts';
import { EchoServer } from '../src/server/server.ts';
import { encodeSockaddr } from '../src/sys/sockaddr.ts';
import { Client, connectTo } from './support/client.ts';
import { recordingLogger } from './support/log-output.ts';
import { closedCount, STRATEGIES, startServer, untilActive } from './support/server.ts';
import { inParallel, until, within } from './support/wait.ts';

async function expectReset(client: Client): Promise<void> {
  await client.untilClosed();
  expect(client.errorCode).toBe('ECONNRESET');
}

/** How a connection from a loopback address ends: its first echoed byte, or an error code. */
async function tryFrom(localAddress: string, port: number): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  onTestFinished(() => {
    socket.destroy();
  });
  socket.write('?');
  return within(
    new Promise<string>((resolve) => {
      socket.once('data', (data) => resolve(data.toString()));
      socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
    }),
    'an echo or a reset',
  );
}

describe.each(STRATEGIES)('%s: connections from one address', (strategy) => {
  const workers = strategy === 'workqueue' ? { workers: 8 } : {};

  it('are refused beyond the limit, while other addresses are served', async () => {
    const { server, port } = await startServer({ strategy, ...workers, maxConnectionsPerAddress: 2 });
    const first = [await connectTo(port), await connectTo(port)];
    for (const client of first) await client.echo('admitted');
    await expectReset(new Client(port));
    expect(await tryFrom('127.0.0.2', port)).toBe('?');
    expect(await tryFrom('127.0.0.2', port)).toBe('?');
    expect(await tryFrom('127.0.0.2', port)).toBe('ECONNRESET');
    expect(server.stats().connections.refused).toMatchObject({ maxPerAddress: 2, maxConnections: 0 });
    await first[0]?.quit();
    await untilActive(server, 3);
    await (await connectTo(port)).echo('room again');
    await first[1]?.echo('not affected');
  });
});

describe.each([
  { strategy: 'kthread', maxWorkers: 1 },
  { strategy: 'workqueue', workers: 1 },
] as const)('$strategy: waiting for a thread', (options) => {
  it('ends in a refusal after maxQueueAge, longest waiting first', async () => {
    const { server, port } = await startServer({ ...options, maxQueueAgeMs: 1000 });
    const served = await connectTo(port);
    await served.echo('served');
    const waiting = [await connectTo(port), await connectTo(port), await connectTo(port)];
    for (const client of waiting) client.send('never read');
    await until(() => server.stats().connections.accepted === 4, 'all to be admitted');
    for (const client of waiting) await expectReset(client);
    await served.echo('still served');
    expect(server.stats().connections).toMatchObject({
      accepted: 4, // a counter: later refusals do not lower it
      active: 1,
      queued: 0,
      refused: { queueAge: 3, queueFull: 0 },
    });
    await served.quit();
    await until(() => closedCount(server) === 1, 'the first to be gone');
    await (await connectTo(port)).echo('the queue works on');
    const { accepted, active, refused } = server.stats().connections;
    expect({ accepted, sum: active + closedCount(server) + refused.queueAge }).toEqual({
      accepted: 5,
      sum: 5,
    });
  });

  it('counts connections, not the task that creates a thread after a death', async () => {
    // The write timeout makes the checks frequent: a quarter of it apart.
    const { server, port } = await startServer({ ...options, maxQueueAgeMs: 60_000, writeTimeoutMs: 100 });
    await (await connectTo(port)).echo('served');
    const next = await connectTo(port);
    next.send('?');
    expect(server.terminateWorker(server.workers()[0]?.id ?? 0)).toBe(true);
    expect((await next.readExactly(1)).toString()).toBe('?'); // by another thread
    await until(() => server.stats().connections.queued === 0, 'the queue to be empty');
  });
});

describe('kthread: a thread that is starting', () => {
  it('does not count as waiting, however short maxQueueAge is', async () => {
    const { server, port } = await startServer({ strategy: 'kthread', maxQueueAgeMs: 1 });
    const clients = await Promise.all(Array.from({ length: 8 }, () => connectTo(port)));
    await Promise.all(clients.map((client, i) => client.echo(`number ${i}`)));
    expect(server.stats().connections).toMatchObject({ accepted: 8, active: 8, refused: { queueAge: 0 } });
  });
});

describe('the log', () => {
  it('aggregates refusals and reports all of them', async () => {
    const { lines, logger } = recordingLogger<{ msg: string; refused?: Record<string, number> }>();
    const server = createEchoServer({ port: 0, maxConnections: 1, logger });
    const { port } = await server.listen();
    const sinceMs = performance.now();
    const admitted = await connectTo(port);
    await admitted.echo('admitted');
    await inParallel(100, 10, async () => expectReset(new Client(port)));
    await admitted.quit();
    await server.close();
    const logged = lines.filter(({ msg }) => msg === 'connections refused');
    const intervals = Math.ceil((performance.now() - sinceMs) / 10_000);
    expect(logged.length).toBeLessThanOrEqual(2 + intervals); // the first, one at the end of each, one at the stop
    expect(logged.reduce((sum, { refused }) => sum + (refused?.maxConnections ?? 0), 0)).toBe(100);
    expect(server.status().events.filter(({ kind }) => kind === 'refused')).toHaveLength(logged.length);
  });
});

describe.each([
  ['kthread', { maxWorkers: 2 }],
  ['workqueue', { workers: 2 }],
] as const)('%s: the log', (strategy, options) => {
  it('reports queued connections once, when all threads are busy', async () => {
    const { lines, logger } = recordingLogger();
    // The write timeout makes the checks frequent: a quarter of it apart.
    const times = { maxQueueAgeMs: 1500, writeTimeoutMs: 100, drainTimeoutMs: 0 };
    await using server = new EchoServer({ port: 0, strategy, ...options, ...times }, logger);
    const logged = () => lines.filter(({ msg }) => msg.startsWith('all threads are busy'));
    const { port } = await server.listen();
    for (const client of [await connectTo(port), await connectTo(port)]) await client.echo('served');
    expect(logged()).toEqual([]);
    const beforeMs = performance.now();
    for (let waiting = 1; waiting <= 3; waiting++) await connectTo(port);
    await until(() => logged().length > 0, 'the log line');
    expect(performance.now() - beforeMs).toBeGreaterThanOrEqual(500); // BUSY_AFTER_MS
    // They keep waiting, and are checked, until they are refused.
    await until(() => server.stats().connections.refused.queueAge === 3, 'all three to be refused');
    expect(logged()).toMatchObject([{ threads: 2 }]);
  });

  // worker:  ends a connection, the client sees it        reports it        Piscina learns of the task's end
  // client:                                       connects
  // main:                                         meanwhile the next task is queued, though a thread is free
  // Where the machine does not run main for half a second, main cannot tell which of the two it was that waited.
  it('does not report a connection that arrives before its thread is known to be free', {
    retry: 2,
  }, async () => {
    const { lines, logger } = recordingLogger();
    const often = { writeTimeoutMs: 100 }; // checks every 25 ms, any of which could log it
    await using server = new EchoServer({ port: 0, strategy, ...options, ...often }, logger);
    const { port } = await server.listen();
    await inParallel(strategy === 'kthread' ? 20 : 400, 2, async () => {
      const client = await connectTo(port);
      await client.echo('served');
      await client.quit();
    });
    expect(lines.filter(({ msg }) => msg.startsWith('all threads are busy'))).toEqual([]);
  });
});

describe('RateLimit', () => {
  it('reports the first at once, then aggregates, and stops by itself', () => {
    vi.useFakeTimers();
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const reports: number[] = [];
    const limit = new RateLimit(1000, (times) => reports.push(times));
    limit.record();
    for (let i = 0; i < 5; i++) limit.record();
    expect(reports).toEqual([1]);
    vi.advanceTimersByTime(999);
    expect(reports).toEqual([1]);
    vi.advanceTimersByTime(1);
    expect(reports).toEqual([1, 5]);
    limit.record();
    vi.advanceTimersByTime(1000);
    expect(reports).toEqual([1, 5, 1]);
    vi.advanceTimersByTime(1000);
    expect(vi.getTimerCount()).toBe(0);
    limit.record();
    limit.record();
    limit.close();
    expect(reports).toEqual([1, 5, 1, 1, 1]);
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('Refusals', () => {
  it('counts by reason and logs only new refusals', () => {
    const logged: object[] = [];
    const refusals = new Refusals((refused) => logged.push(refused));
    refusals.count('queueFull');
    refusals.count('queueFull');
    refusals.count('noThread');
    refusals.close();
    refusals.close();
    expect(logged).toEqual([{ queueFull: 1 }, { queueFull: 1, noThread: 1 }]);
    expect(refusals.counts).toMatchObject({ queueFull: 2, noThread: 1, maxConnections: 0 });
  });
});

describe('PerAddress', () => {
  const peer = (address: string) => encodeSockaddr(address, 4711);

  /** Counts a connection if there is room for it. */
  function admit(addresses: PerAddress, address: string): boolean {
    const key = addresses.keyOf(peer(address));
    const hasRoom = addresses.hasRoom(key);
    if (hasRoom) addresses.add(key);
    return hasRoom;
  }

  function release(addresses: PerAddress, address: string): void {
    addresses.remove(addresses.keyOf(peer(address)));
  }

  it('counts an IPv4-mapped address as IPv4, and forgets addresses without connections', () => {
    const addresses = new PerAddress(2, 64);
    expect(admit(addresses, '::ffff:192.0.2.1')).toBe(true);
    expect(admit(addresses, '192.0.2.1')).toBe(true);
    expect(admit(addresses, '::ffff:192.0.2.1')).toBe(false);
    expect(admit(addresses, '2001:db8::1')).toBe(true);
    expect(addresses.size).toBe(2);
    release(addresses, '::ffff:192.0.2.1');
    expect(admit(addresses, '192.0.2.1')).toBe(true);
    expect(admit(addresses, '192.0.2.1')).toBe(false);
    for (const address of ['192.0.2.1', '192.0.2.1', '2001:db8::1']) release(addresses, address);
    expect(addresses.size).toBe(0);
  });

  /** Whether two addresses count as one. */
  function areOne(first: string, second: string, prefixLength = 64): boolean {
    const addresses = new PerAddress(1, prefixLength);
    expect(admit(addresses, first)).toBe(true);
    const isRefused = !admit(addresses, second);
    expect(addresses.size).toBe(isRefused ? 1 : 2);
    release(addresses, first);
    expect(admit(addresses, first)).toBe(true);
    return isRefused;
  }

  it.each([
    ['2001:db8::1', '2001:db8::ffff:ffff:ffff:ffff'],
    ['2001:db8::1', '2001:0DB8:0000:0000:0000:0000:0000:0001'],
    ['2001:db8:0:0:1::', '2001:db8::'],
    ['2001:db8::192.0.2.1', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::2'],
    ['::1', '::2'],
    ['::ffff:192.0.2.1', '::FFFF:c000:201'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
  ])('%s and %s count as one', (first, second) => {
    expect(areOne(first, second)).toBe(true);
  });

  it.each([
    ['2001:db8::1', '2001:db8:0:1::1'],
    ['192.0.2.1', '192.0.2.2'],
    ['::ffff:192.0.2.1', '::ffff:192.0.2.2'],
    ['::ffff:192.0.2.1', '::1'],
    ['::192.0.2.1', '192.0.2.1'], // compatible, not mapped
    ['64:ff9b::192.0.2.1', '192.0.2.1'],
  ])('%s and %s count separately', (first, second) => {
    expect(areOne(first, second)).toBe(false);
  });

  it('compares exactly the bits of the prefix', () => {
    const withBit = (bit: number) => {
      const bytes = Buffer.alloc(16);
      bytes[0] = 0x20;
      if (bit >= 0) bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
      return (bytes.toString('hex').match(/.{4}/g) ?? []).join(':');
    };
    for (const prefixLength of [1, 7, 8, 9, 32, 48, 56, 63, 64, 65, 127, 128]) {
      for (let bit = 0; bit < 128; bit++) {
        expect(areOne(withBit(-1), withBit(bit), prefixLength), `/${prefixLength}, bit ${bit}`).toBe(
          bit >= prefixLength,
        );
      }
      expect(areOne('192.0.2.1', '::ffff:192.0.2.1', prefixLength)).toBe(true);
      expect(areOne('::ffff:192.0.2.1', '192.0.2.2', prefixLength)).toBe(false);
    }
  });

  it('counts nothing without a limit', () => {
    const addresses = new PerAddress(0, 64);
    for (let i = 0; i < 3; i++) expect(admit(addresses, '192.0.2.1')).toBe(true);
    expect(addresses.size).toBe(0);
    release(addresses, '192.0.2.1');
    expect(addresses.size).toBe(0);
  });
});
