/**
 * Goal: peers that are dead, silent, or take nothing do not hold a connection forever; each ends for its own reason,
 * which is counted, and no other connection is affected.
 * Method: real connections. A dead peer is a socket whose kernel drops what arrives; a stuck one sends megabytes and
 * reads nothing. Assertions are never on durations, only on counters.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { EchoServer } from '../src/index.ts';
import { ring } from '../src/memory/completions.ts';
import type { SharedState } from '../src/memory/layout.ts';
import { dropSpill, keepSpill } from '../src/memory/spill.ts';
import { EchoServer as Server } from '../src/server/server.ts';
import { monotonicMs } from '../src/sys/clock.ts';
import { type Client, connectTo, expectBytes, pattern } from './support/client.ts';
import { MortalPeer } from './support/dead-peer.ts';
import { threadFaults, WorkerFault } from './support/faults.ts';
import {
  closed,
  FOUR_WORKERS,
  STRATEGIES,
  startServer,
  TIMEOUTS_OFF,
  untilActive,
} from './support/server.ts';
import { until, untilSteady } from './support/wait.ts';

/** More than the kernel buffers for a peer that does not read. */
const TOO_MUCH = pattern(12 << 20);

/** A client that does not read and has sent until the server can send nothing more. */
async function stuckClient(server: EchoServer, port: number, localAddress?: string): Promise<Client> {
  const before = server.stats().bytesIn;
  const client = await connectTo(port, localAddress === undefined ? {} : { localAddress });
  client.socket.pause();
  client.send(TOO_MUCH);
  await until(() => server.stats().bytesIn > before + (1 << 20), 'the server to take something');
  await untilSteady(() => server.stats().bytesOut, 'what the server could send');
  expect(server.stats().bytesOut).toBeLessThan(server.stats().bytesIn);
  return client;
}

describe.each(STRATEGIES)('%s', (strategy) => {
  const options = { ...TIMEOUTS_OFF, ...FOUR_WORKERS[strategy], strategy };

  it('resets a peer that takes nothing, and no other', async () => {
    const { server, port } = await startServer({ ...options, writeTimeoutMs: 400 });
    const other = await connectTo(port);
    await other.echo('before');
    const stuck = await stuckClient(server, port);
    await until(() => closed(server).writeTimeout === 1, 'the write timeout');
    stuck.socket.resume();
    await stuck.untilClosed();
    expect(stuck.errorCode).toBe('ECONNRESET');
    await other.echo('after');
    expect(server.stats()).toMatchObject({ connections: { active: 1 }, spills: { inUse: 0 } });
    expect(closed(server)).toMatchObject({ eof: 0, error: 0, socketTimeout: 0, writeTimeout: 1 });
  });

  it('resets a silent connection, not an active one', async () => {
    const { server, port } = await startServer({ ...options, socketTimeoutMs: 1500 });
    const [silent, active] = [await connectTo(port), await connectTo(port)];
    for (const client of [silent, active]) await client.echo('x');
    await until(async () => {
      await active.echo('still here');
      return closed(server).socketTimeout === 1;
    }, 'the socket timeout');
    await silent.untilClosed();
    expect(silent.errorCode).toBe('ECONNRESET');
    await active.echo('x');
    expect(server.stats().connections.active).toBe(1);
  });

  it('closes the connection of a stuck peer that resets', async () => {
    const { server, port } = await startServer(options);
    const stuck = await stuckClient(server, port);
    stuck.reset();
    await untilActive(server, 0);
    expect(server.stats().spills.inUse).toBe(0);
    expect(closed(server)).toMatchObject({ eof: 0, error: 1 });
  });
});

describe.each(['kthread', 'cmwq'] as const)('%s: a dead peer', (strategy) => {
  const options = { ...TIMEOUTS_OFF, strategy };

  it('is detected by keepalive', async () => {
    const keepalive = { keepaliveTimeMs: 1000, keepaliveIntervalMs: 1000, keepaliveProbes: 1 };
    const { server, port } = await startServer({ ...options, ...keepalive });
    const [peer, other] = [new MortalPeer(port), await connectTo(port)];
    await other.echo('before');
    await untilActive(server, 2);
    peer.die();
    await until(() => closed(server).keepalive === 1, 'keepalive to fail');
    await other.echo('after');
    expect(closed(server)).toMatchObject({ error: 0, userTimeout: 0, keepalive: 1 });
  });

  it('is detected by TCP_USER_TIMEOUT when it acknowledges nothing', async () => {
    const { server, port } = await startServer({ ...options, userTimeoutMs: 500 });
    const [peer, other] = [new MortalPeer(port), await connectTo(port)];
    await other.echo('before');
    await untilActive(server, 2);
    peer.die();
    peer.send('the echo of this is lost');
    await until(() => closed(server).userTimeout === 1, 'the echo to be given up');
    await other.echo('after');
    expect(closed(server)).toMatchObject({ error: 0, keepalive: 0, userTimeout: 1 });
  });

  it('is detected by TCP_USER_TIMEOUT when it acknowledges probes but takes nothing', async () => {
    const { server, port } = await startServer({ ...options, userTimeoutMs: 500 });
    const stuck = await connectTo(port);
    stuck.socket.pause();
    stuck.send(TOO_MUCH);
    await until(() => closed(server).userTimeout === 1, 'the echo to be given up');
    expect(closed(server)).toMatchObject({ error: 0, keepalive: 0, userTimeout: 1 });
  });

  it('is not detected when a peer resets in the middle of an echo', async () => {
    const { server, port } = await startServer({ ...options, userTimeoutMs: 60_000 });
    const stuck = await stuckClient(server, port);
    stuck.reset();
    await untilActive(server, 0);
    expect(closed(server)).toMatchObject({ error: 1, keepalive: 0, userTimeout: 0 });
  });
});

describe.each(STRATEGIES)('%s: a peer that sends FIN and resets while its handler runs', (strategy) => {
  it('counts as an error, whatever the user timeout', async () => {
    const options = {
      ...TIMEOUTS_OFF,
      ...FOUR_WORKERS[strategy],
      strategy,
      userTimeoutMs: 100,
      service: ['sleep:3s'],
    };
    const { server, port } = await startServer(options);
    const client = await connectTo(port);
    client.send('x');
    client.socket.end();
    await until(() => server.stats().bytesIn === 1, 'the request');
    await pause(300); // longer than the user timeout, and much shorter than the handler
    client.reset();
    await untilActive(server, 0);
    expect(closed(server)).toMatchObject({ error: 1, keepalive: 0, userTimeout: 0 });
  });
});

describe('cmwq: spill memory', () => {
  it('is one buffer per connection; a connection without one waits and affects no other', async () => {
    const { server, port } = await startServer({ ...TIMEOUTS_OFF, maxSpillBytes: 2 * 65536 });
    const holders = [await stuckClient(server, port), await stuckClient(server, port)];
    expect(server.stats().spills.inUse).toBe(2);
    const waiting = await connectTo(port);
    waiting.socket.pause();
    const before = server.stats().bytesIn;
    waiting.send(TOO_MUCH);
    await until(() => server.stats().bytesIn > before + (1 << 20), 'the server to take something');
    await untilSteady(() => server.stats().bytesIn, 'what the server takes');
    const other = await connectTo(port);
    await other.echo(TOO_MUCH.subarray(0, 4 << 20));
    expect(server.stats().spills.inUse).toBe(2);
    waiting.socket.resume();
    expectBytes(await waiting.readExactly(TOO_MUCH.length), TOO_MUCH);
    expect(closed(server)).toMatchObject({ spillLimit: 0, error: 0 });
    for (const client of holders) client.reset();
    await untilActive(server, 2);
    expect(server.stats().spills.inUse).toBe(0);
  });

  it('may be disabled', async () => {
    const { server, port } = await startServer({ ...TIMEOUTS_OFF, maxSpillBytes: 0 });
    const client = await connectTo(port);
    client.socket.pause();
    client.send(TOO_MUCH);
    await until(() => server.stats().bytesIn > 1 << 20, 'the server to take something');
    await untilSteady(() => server.stats().bytesIn, 'what the server takes');
    client.socket.resume();
    expectBytes(await client.readExactly(TOO_MUCH.length), TOO_MUCH);
    expect(closed(server)).toMatchObject({ spillLimit: 0, error: 0 });
  });

  it('beyond its limit is taken from the longest holder of the address that holds most', async () => {
    const server = new Server({
      ...TIMEOUTS_OFF,
      port: 0,
      logLevel: 'silent',
      cpus: 1,
      maxSpillBytes: 3 * 65536,
    });
    await using _ = server;
    const { port } = await server.listen();
    const alone = await stuckClient(server, port);
    const [first, second] = [
      await stuckClient(server, port, '127.0.0.2'),
      await stuckClient(server, port, '127.0.0.2'),
    ];
    expect(server.stats().spills.inUse).toBe(3);
    const { shared } = server as unknown as { shared: SharedState };
    expect(keepSpill(shared, 900, new Uint8Array(1), monotonicMs())).toBe(true); // one more, from the reserve
    ring(shared);
    await until(() => closed(server).spillLimit === 1, 'one to be ended');
    dropSpill(shared, 900);
    for (const client of [alone, first, second]) client.socket.resume();
    await first.untilClosed();
    expect(first.errorCode).toBe('ECONNRESET');
    for (const client of [alone, second]) expectBytes(await client.readExactly(TOO_MUCH.length), TOO_MUCH);
    expect(server.stats().spills.inUse).toBe(0);
  });

  it('a failed return to the worklist costs only that connection', async () => {
    const faults = threadFaults();
    const server = new Server({
      port: 0,
      logLevel: 'silent',
      cpus: 1,
      service: ['sleep:5ms', 'burn:0.1ms'],
    });
    await using _ = server;
    const { port } = await server.listen();
    const [doomed, other] = [await connectTo(port), await connectTo(port)];
    await doomed.echo('sleeps, and comes back');
    faults.order(WorkerFault.epollAdd);
    doomed.send('does not come back');
    await doomed.untilOver();
    await other.echo('after');
    await until(() => closed(server).error === 1, 'the lost one to be counted');
    expect(server.stats().threads.died).toEqual({ error: 0, outOfMemory: 0, terminated: 0 });
    expect(server.stats().connections.active).toBe(1);
    await other.quit();
  });
});
