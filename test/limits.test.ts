/**
 * Goal: at its limits the server refuses and counts connections, or makes clients wait; it neither dies nor spins, and
 * serves again as soon as there is room.
 * Method: limits on connections and on the queue in this process; limits on descriptors in child processes under a low
 * `ulimit -n`. A refused client sees a reset. Spinning would show in the child's CPU time, checked with a wide margin.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EchoServerOptions } from '../src/index.ts';
import { BIN, Child, whenListening } from './support/child.ts';
import { Client, connectTo } from './support/client.ts';
import { cpuTicks } from './support/process.ts';
import { STRATEGIES, startServer, untilActive } from './support/server.ts';
import { pause, until } from './support/wait.ts';

/** A share of one CPU that an idle server stays far below and a busy loop far above. */
const BUSY_SHARE = 0.25;
const TICKS_PER_MS = 0.1;

/** A client that may be refused; does not wait for the connection. */
function attempt(port: number, first?: string): Client {
  const client = new Client(port, first === undefined ? {} : { first: Buffer.from(first) });
  onTestFinished(() => {
    client.socket.destroy();
  });
  return client;
}

async function expectRefused(port: number): Promise<void> {
  const client = attempt(port);
  await client.untilClosed();
  expect(client.errorCode).toBe('ECONNRESET');
}

describe.each(STRATEGIES)('%s: connections', (strategy) => {
  it('refuses connections beyond maxConnections, and admits again once one has ended', async () => {
    const { server, port } = await startServer({ strategy, maxConnections: 2 });
    const [first, second] = [await connectTo(port), await connectTo(port)];
    for (const client of [first, second]) await client.echo('admitted');
    await expectRefused(port);
    await expectRefused(port);
    expect(server.stats().connections).toMatchObject({
      accepted: 2,
      active: 2,
      refused: { maxConnections: 2, queueFull: 0 },
    });
    await first.quit();
    await untilActive(server, 1);
    await (await connectTo(port)).echo('admitted');
    await second.echo('not affected');
    await expectRefused(port);
    expect(server.stats().connections).toMatchObject({ accepted: 3, refused: { maxConnections: 3 } });
  });
});

describe.each([
  { strategy: 'kthread', maxWorkers: 1 },
  { strategy: 'workqueue', workers: 1 },
] as const)('$strategy: the queue', (options) => {
  it('refuses a connection when maxQueue others wait, and admits again when one is served', async () => {
    const { server, port } = await startServer({ ...options, maxQueue: 1 });
    const served = await connectTo(port);
    await served.echo('served');
    const waiting = await connectTo(port, { first: Buffer.from('waiting') });
    await until(() => server.stats().connections.queued === 1, 'the second to wait');
    await expectRefused(port);
    expect(server.stats().connections).toMatchObject({
      accepted: 2,
      active: 2,
      refused: { maxConnections: 0, queueFull: 1 },
    });
    await served.quit();
    expect((await waiting.readExactly(7)).toString()).toBe('waiting');
    const next = await connectTo(port, { first: Buffer.from('next') });
    await until(() => server.stats().connections.queued === 1, 'the next to wait');
    await waiting.quit();
    expect((await next.readExactly(4)).toString()).toBe('next');
  });

  it('queues no connection when maxQueue is 0', async () => {
    const { server, port } = await startServer({ ...options, maxQueue: 0 });
    const served = await connectTo(port);
    await served.echo('served');
    await expectRefused(port);
    expect(server.stats().connections.refused.queueFull).toBe(1);
    await served.quit();
    await untilActive(server, 0);
    await (await connectTo(port)).echo('served again');
  });
});

/** A child under a low descriptor limit. */
function startLimited(descriptors: number, args: readonly string[]) {
  const script = `ulimit -n ${descriptors} && exec "$0" "$@"`;
  return whenListening(new Child('sh', ['-c', script, process.execPath, ...args]));
}

/** Waits until the child is idle; it may still be starting threads, but a busy loop would never end. */
async function untilCalm(child: Child): Promise<void> {
  await until(async () => {
    const [before, beforeMs] = [cpuTicks(child.pid), performance.now()];
    await pause(300);
    const most = (performance.now() - beforeMs) * TICKS_PER_MS * BUSY_SHARE;
    return cpuTicks(child.pid) - before < most;
  }, 'the child to be idle');
}

describe.each(STRATEGIES)('%s: a low descriptor limit', (strategy) => {
  it('determines maxConnections, beyond which connections are refused', async () => {
    const args = [BIN, '--port', '0', '--no-pretty', '--strategy', strategy];
    const { child, port, listening } = await startLimited(128, args);
    const { maxConnections, descriptors } = listening.limits as Record<string, number>;
    expect(descriptors).toBe(128);
    const most = Number(maxConnections); // present, or NaN fails the next line
    expect(most).toBeGreaterThan(3);
    const clients = Array.from({ length: most + 20 }, () => attempt(port, 'hello'));
    const refused = () => clients.filter((client) => client.closed);
    await until(() => refused().length === 20, '20 refused connections');
    expect(new Set(refused().map((client) => client.errorCode))).toEqual(new Set(['ECONNRESET']));
    expect((await child.stats()).connections).toMatchObject({
      active: most,
      refused: { maxConnections: 20 },
    });
    await untilCalm(child);

    const admitted = clients.filter((client) => !client.closed);
    for (const client of admitted) client.end();
    for (const client of admitted) expect((await client.readToEnd()).toString()).toBe('hello');
    await until(async () => (await child.stats()).connections.active === 0, 'all to be gone');
    await (await connectTo(port)).echo('served again');
    expect(child.linesSaying('accepting paused; clients wait in the backlog')).toEqual([]);
  });
});

/** The same for a child that measures itself on request. */
async function untilMeasuredCalm(child: Child): Promise<void> {
  await until(async () => {
    const before = child.linesSaying('measured').length;
    child.write('measure\n');
    return Number((await child.line('measured', before)).busy) < BUSY_SHARE;
  }, 'the child to be idle');
}

describe.each(STRATEGIES)('%s: without free descriptors', (strategy) => {
  const PAUSES = 'accepting paused; clients wait in the backlog';

  function startExhaustible(options: EchoServerOptions) {
    const program = new URL('./support/exhausted-server.ts', import.meta.url).pathname;
    return startLimited(256, [program, JSON.stringify({ strategy, pretty: false, ...options })]);
  }

  it('logs once, waits without spinning, and later serves the waiting clients', async () => {
    const { child, port } = await startExhaustible({});
    child.write('exhaust 0\n');
    await child.line('exhausted');
    const clients = Array.from({ length: 5 }, (_, i) => attempt(port, `number ${i}`));
    expect(await child.line(PAUSES)).toMatchObject({ code: 'EMFILE' });
    await untilMeasuredCalm(child);
    expect(child.linesSaying(PAUSES)).toHaveLength(1);
    for (const client of clients)
      expect({ closed: client.closed, got: client.available }).toEqual({ closed: false, got: 0 });

    child.write('release\n');
    for (const [i, client] of clients.entries()) {
      expect((await client.readExactly(8)).toString()).toBe(`number ${i}`);
      await client.quit(); // workqueue: makes room for the next
    }
    await (await connectTo(port)).echo('served again');
  });

  it('serves accepted clients that had no thread once there is one', async () => {
    const { child, port } = await startExhaustible(strategy === 'kthread' ? { maxWorkers: 8 } : {});
    child.write('exhaust 3\n'); // enough for three connections, too few for a thread
    await child.line('exhausted');
    const clients = Array.from({ length: 3 }, (_, i) => attempt(port, `number ${i}`));
    const ask = () => child.write('stats\n');
    await until(async () => (await child.stats(ask)).connections.active === 3, 'three to be accepted');
    await untilMeasuredCalm(child);

    child.write('release\n');
    for (const [i, client] of clients.entries()) {
      expect((await client.readExactly(8)).toString()).toBe(`number ${i}`);
      await client.quit();
    }
    await (await connectTo(port)).echo('served again');
    child.write('stop\n');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });
});
