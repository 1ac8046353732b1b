/**
 * Goal: at its limits the server refuses clearly and counts it, or makes the clients wait; it neither dies
 * nor spins, and it serves again as soon as there is room.
 * Method: limits on connections and on the queue in this process; limits on descriptors in child processes
 * that run under a low `ulimit -n`. A refused client sees a reset. That nothing spins is read from the
 * processor time of the child, with a wide margin.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EchoServerOptions } from '../src/index.ts';
import { BIN, Child, whenListening } from './support/child.ts';
import { Client, connectTo } from './support/client.ts';
import { cpuTicks } from './support/process.ts';
import { STRATEGIES, startServer, untilActive } from './support/server.ts';
import { pause, until } from './support/wait.ts';

/** A share of one processor that an idle server stays far below and a busy loop far above. */
const BUSY_SHARE = 0.25;
const TICKS_PER_MS = 0.1;

/** A client that may be refused: nothing is waited for. */
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
  it('refuses one more than maxConnections, and admits again after one has left', async () => {
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
    await second.echo('not disturbed');
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

  it('lets nobody wait when maxQueue is 0', async () => {
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

/** A child under a low limit of descriptors. */
function startLimited(descriptors: number, args: readonly string[]) {
  const script = `ulimit -n ${descriptors} && exec "$0" "$@"`;
  return whenListening(new Child('sh', ['-c', script, process.execPath, ...args]));
}

/** The child may still be starting threads; a busy loop would never end. */
async function untilCalm(child: Child): Promise<void> {
  await until(async () => {
    const [before, beforeMs] = [cpuTicks(child.pid), performance.now()];
    await pause(300);
    const most = (performance.now() - beforeMs) * TICKS_PER_MS * BUSY_SHARE;
    return cpuTicks(child.pid) - before < most;
  }, 'the processor to be free');
}

describe.each(STRATEGIES)('%s: a low limit of descriptors', (strategy) => {
  it('is shared out at the start; past it connections are refused', async () => {
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

/** The same by its own account, for a child that measures itself on order. */
async function untilMeasuredCalm(child: Child): Promise<void> {
  await until(async () => {
    const before = child.linesSaying('measured').length;
    child.write('measure\n');
    return Number((await child.line('measured', before)).busy) < BUSY_SHARE;
  }, 'the processor to be free');
}

describe.each(STRATEGIES)('%s: no descriptor left', (strategy) => {
  const PAUSES = 'accepting paused; clients wait in the backlog';

  function startExhaustible(options: EchoServerOptions) {
    const program = new URL('./support/exhausted-server.ts', import.meta.url).pathname;
    return startLimited(256, [program, JSON.stringify({ strategy, pretty: false, ...options })]);
  }

  it('says so once, waits without spinning, and serves who waited', async () => {
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

  it('serves whom it could accept and had no thread for, once there is one', async () => {
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
