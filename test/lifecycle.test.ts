/**
 * Goal: a server can be started once and stopped any number of times, in any state, and leaves no descriptor, no thread
 * and no connection waiting forever.
 * Method: the API in this process; descriptors and threads are counted in /proc before and after. Scripts in child
 * processes end with a running server.
 */
import { createServer } from 'node:net';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createEchoServer, SysError } from '../src/index.ts';
import { Child } from './support/child.ts';
import { connectTo, expectBytes, pattern } from './support/client.ts';
import { descriptors, threads } from './support/process.ts';
import { STRATEGIES, type StrategyName, startServer, untilActive } from './support/server.ts';
import { sized } from './support/size.ts';
import { until } from './support/wait.ts';

function silent(strategy: StrategyName, port = 0) {
  return createEchoServer({ strategy, port, logLevel: 'silent' });
}

interface Open {
  descriptors: number;
  threads: number;
}

function openNow(): Open {
  return { descriptors: descriptors(), threads: threads() };
}

async function untilAsBefore(before: Open): Promise<void> {
  await until(
    () => descriptors() <= before.descriptors && threads() <= before.threads,
    () => `${JSON.stringify(openNow())} to fall to ${JSON.stringify(before)}`,
  );
}

/** Runs a script that uses the API in a child process. */
function runScript(body: string): Child {
  const api = new URL('../src/index.ts', import.meta.url).href;
  const script = `import { connect } from 'node:net';
    import { createEchoServer } from '${api}';
    ${body}`;
  return new Child(process.execPath, ['--input-type=module', '--eval', script]);
}

/** A start, some traffic, and a stop with one connection still open. */
async function startAndStop(strategy: StrategyName): Promise<void> {
  const server = silent(strategy);
  const { port } = await server.listen();
  const [first, second] = [await connectTo(port), await connectTo(port)];
  await first.echo(pattern(70_000));
  await second.echo('hello');
  await first.quit();
  await untilActive(server, 1);
  const { cut, threadsEnded } = await server.close({ drainTimeoutMs: 0 });
  expect({ cut, threadsEnded }).toEqual({ cut: 1, threadsEnded: true });
  expectBytes(await second.readToEnd(), '');
  second.end();
  await second.untilClosed();
}

describe.each(STRATEGIES)('%s', (strategy) => {
  // The first start loads what stays: native code, threads of the runtime.
  beforeAll(async () => {
    const server = silent(strategy);
    await server.listen();
    await server.close();
  });

  it('leaves nothing behind after many starts and stops', { timeout: 300_000 }, async () => {
    await startAndStop(strategy);
    const before = openNow();
    for (let i = 0; i < sized(20); i++) await startAndStop(strategy);
    await untilAsBefore(before);
  });

  it('is in turn new, listening, draining and stopped', async () => {
    const server = silent(strategy);
    expect({ state: server.state, address: server.address() }).toEqual({ state: 'new', address: null });
    const bound = await server.listen();
    expect(server.state).toBe('listening');
    expect(server.address()).toEqual(bound);
    const client = await connectTo(bound.port);
    await client.echo('open');
    const closing = server.close();
    expect({ state: server.state, address: server.address() }).toEqual({ state: 'draining', address: null });
    await client.echo('still served');
    await client.quit();
    expect(await closing).toEqual({ cut: 0, threadsEnded: true });
    expect(server.state).toBe('stopped');
  });

  it('can be closed twice, and before it listens', async () => {
    const { server } = await startServer({ strategy });
    const results = await Promise.all([server.close(), server.close()]);
    expect(results).toEqual([
      { cut: 0, threadsEnded: true },
      { cut: 0, threadsEnded: true },
    ]);
    const never = silent(strategy);
    expect(await never.close()).toEqual({ cut: 0, threadsEnded: true });
    expect(never.state).toBe('stopped');
    await expect(never.listen()).rejects.toThrow('stopped');
  });

  it('cuts at once when a second close asks for it', async () => {
    const { server, port } = await startServer({ strategy });
    const client = await connectTo(port);
    await client.echo('open');
    const closing = server.close({ drainTimeoutMs: 600_000 });
    await client.echo('still served');
    void server.close({ drainTimeoutMs: 0 });
    expect(await closing).toEqual({ cut: 1, threadsEnded: true });
    expectBytes(await client.readToEnd(), '');
    expect(server.stats().connections).toMatchObject({ active: 0, closed: { eof: 0, cut: 1 } });
  });

  it('is not ready but accepts during the drain delay, then drains', async () => {
    const { server, port } = await startServer({ strategy, drainDelayMs: 50 });
    const client = await connectTo(port);
    const closing = server.close();
    expect([server.state, server.notReadyReason]).toEqual(['listening', 'drain delay']);
    await until(() => server.state === 'draining', 'the drain');
    await expect(connectTo(port)).rejects.toThrow('ECONNREFUSED');
    await client.echo('still served');
    await client.quit();
    expect(await closing).toEqual({ cut: 0, threadsEnded: true });
  });

  it('ends the drain delay and cuts when a second close asks for it', async () => {
    const { server, port } = await startServer({ strategy, drainDelayMs: 600_000 });
    const closing = server.close();
    const client = await connectTo(port);
    await client.echo('accepted during the delay');
    expect([server.state, server.notReadyReason]).toEqual(['listening', 'drain delay']);
    void server.close({ drainTimeoutMs: 0 });
    expect(await closing).toEqual({ cut: 1, threadsEnded: true });
    expectBytes(await client.readToEnd(), '');
    expect(server.stats().connections).toMatchObject({ accepted: 1, closed: { cut: 1 } });
  });

  it('rejects a second listen and keeps serving', async () => {
    const { server, port } = await startServer({ strategy });
    await expect(server.listen()).rejects.toThrow('listening');
    await (await connectTo(port)).echo('still served');
  });

  it('stops when it is closed while it starts', async () => {
    const child = runScript(`
      const server = createEchoServer({ strategy: '${strategy}', port: 0, logLevel: 'silent' });
      const starting = server.listen().catch(() => {});
      await server.close();
      await starting;
      console.log(server.state, server.address());`);
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stdout).toBe('stopped null\n');
  });

  it('rejects a taken port with EADDRINUSE and leaves nothing behind', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    onTestFinished(() => void taken.close());
    await until(() => taken.listening, 'the port to be taken');
    const { port } = taken.address() as { port: number }; // it listens on TCP
    const before = openNow();
    const server = silent(strategy, port);
    const error = await server.listen().catch((error: unknown) => error);
    expect(error).toBeInstanceOf(SysError);
    expect(error).toMatchObject({ code: 'EADDRINUSE' });
    expect(server.state).toBe('stopped');
    await untilAsBefore(before);
  });

  it('is closed at the end of its scope by `await using`', async () => {
    let port = 0;
    {
      await using server = silent(strategy);
      ({ port } = await server.listen());
      await (await connectTo(port)).quit();
    }
    await expect(connectTo(port)).rejects.toThrow('ECONNREFUSED');
  });

  it('lets the process exit while connections are open', async () => {
    // On a busy machine the echo may take long; no thread must be created for that just now.
    const more = strategy === 'cmwq' ? 'cpuIntensiveThreshMs: 60_000' : '';
    const child = runScript(`
      const server = createEchoServer({ strategy: '${strategy}', port: 0, logLevel: 'silent', ${more} });
      const { port } = await server.listen();
      const idle = connect(port, '127.0.0.1');
      const socket = connect(port, '127.0.0.1', () => socket.write('hello'));
      socket.once('data', () => { console.log('exiting'); process.exit(7); });`);
    await until(() => child.stdout.includes('exiting') || child.ended !== null, 'the echo');
    expect(await child.untilEnded()).toEqual({ code: 7, signal: null });
    expect(child.stderr).toBe('');
  });
});

describe.each([
  { strategy: 'kthread', maxWorkers: 1 },
  { strategy: 'workqueue', workers: 1 },
] as const)('$strategy: a connection that waits in the queue during the drain', (options) => {
  async function oneServedOneWaiting() {
    const { server, port } = await startServer(options);
    const served = await connectTo(port);
    await served.echo('served');
    const waiting = await connectTo(port, { first: Buffer.from('waiting') });
    await untilActive(server, 2);
    expect(server.stats().connections.queued).toBe(1);
    return { server, served, waiting };
  }

  it('is served when its turn comes', async () => {
    const { server, served, waiting } = await oneServedOneWaiting();
    const closing = server.close({ drainTimeoutMs: 600_000 });
    await served.quit();
    expectBytes(await waiting.readExactly(7), 'waiting');
    await waiting.quit();
    expect(await closing).toEqual({ cut: 0, threadsEnded: true });
  });

  it('is cut at the deadline', async () => {
    const { server, waiting } = await oneServedOneWaiting();
    expect(await server.close({ drainTimeoutMs: 50 })).toEqual({ cut: 2, threadsEnded: true });
    await waiting.untilOver();
    expect(server.stats().connections).toMatchObject({ active: 0, queued: 0 });
  });
});
