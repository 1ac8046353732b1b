/**
 * Goal: a peer can trust how its connection ends. An incomplete echo is never followed by a FIN, and a connection stays
 * open, and counts, until the peer has acknowledged the echo or the write timeout expires.
 * Method: clients that do not read; for what workers do alone, a client that blocks this thread, and so main.
 */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import type { EchoServer, EchoServerOptions } from '../src/index.ts';
import type { SharedState } from '../src/memory/layout.ts';
import { keepSpill } from '../src/memory/spill.ts';
import { EchoServer as Server } from '../src/server/server.ts';
import { E, libc } from '../src/sys/libc.ts';
import { type Client, connectTo, expectBytes, pattern } from './support/client.ts';
import { type ThreadFaults, threadFaults, WorkerFault } from './support/faults.ts';
import { RawClient } from './support/raw-client.ts';
import {
  active,
  closed,
  FOUR_WORKERS,
  STRATEGIES,
  startServer,
  TIMEOUTS_OFF,
  untilActive,
} from './support/server.ts';
import { until, untilSteady } from './support/wait.ts';

/** Fits our kernel's send buffer, but not the receive buffer of a client that does not read. */
const IN_KERNEL = pattern(800_000);
/** More than the kernel takes. */
const TOO_MUCH = pattern(12 << 20);

/** A client that has sent something and does not read; the server's kernel has the whole echo. */
async function untaken(server: EchoServer, port: number): Promise<Client> {
  const before = server.stats().bytesIn;
  const client = await connectTo(port);
  client.socket.pause();
  client.send(IN_KERNEL);
  await until(() => {
    const { bytesIn, bytesOut } = server.stats();
    return bytesIn === before + IN_KERNEL.length && bytesOut === bytesIn;
  }, 'the server to send it all');
  return client;
}

async function startFaulty(
  options: EchoServerOptions,
): Promise<{ server: Server; port: number; shared: SharedState; faults: ThreadFaults }> {
  const faults = threadFaults();
  const server = new Server({ port: 0, logLevel: 'silent', cpus: 1, ...options });
  const { port } = await server.listen();
  return { server, port, shared: (server as unknown as { shared: SharedState }).shared, faults };
}

describe('cmwq: a worker, while main is busy', () => {
  it('resets a connection that finds no spill buffer', async () => {
    const { server, port, shared, faults } = await startFaulty({ maxSpillBytes: 65536 });
    await using _ = server;
    const client = new RawClient(port);
    await untilActive(server, 1);
    for (let fd = 900; keepSpill(shared, fd, new Uint8Array(1), 0); fd++); // takes all buffers
    faults.order(WorkerFault.shortSend);
    client.send(pattern(1000));
    expect(client.readToEnd().errno).toBe(E.ECONNRESET);
    await until(() => closed(server).spillLimit === 1, 'it to be counted');
  });

  it('resets a connection that cannot return to the worklist, even after its echo', async () => {
    const { server, port, faults } = await startFaulty({ service: ['sleep:5ms'] });
    await using _ = server;
    const client = new RawClient(port);
    await untilActive(server, 1);
    faults.order(WorkerFault.epollAdd);
    client.send(pattern(1000));
    expect(client.readToEnd().errno).toBe(E.ECONNRESET);
    await until(() => closed(server).error === 1, 'it to be counted');
  });
});

describe.each(STRATEGIES)('%s: a peer that sends, half-closes and does not read', (strategy) => {
  const options = { ...TIMEOUTS_OFF, ...FOUR_WORKERS[strategy], strategy };

  it('counts as a connection until it has acknowledged the whole echo', async () => {
    const { server, port } = await startServer({ ...options, maxConnectionsPerAddress: 2 });
    const clients = [await untaken(server, port), await untaken(server, port)];
    for (const client of clients) client.end();
    await until(() => server.stats().connections.lingering === 2, 'both to linger');
    expect(active(server)).toBe(2);
    const refused = await connectTo(port);
    await refused.untilClosed();
    expect(server.stats().connections.refused.maxPerAddress).toBe(1);
    for (const client of clients) {
      client.socket.resume();
      expectBytes(await client.readToEnd(), IN_KERNEL);
    }
    await untilActive(server, 0);
    expect(server.stats().connections.lingering).toBe(0);
    expect(closed(server)).toMatchObject({ eof: 2, error: 0, writeTimeout: 0 });
  });

  it('is reset after the write timeout', async () => {
    const { server, port } = await startServer({ ...options, writeTimeoutMs: 300 });
    const client = await untaken(server, port);
    client.end();
    await until(() => closed(server).writeTimeout === 1, 'the write timeout');
    client.socket.resume();
    await client.untilClosed();
    expect(client.errorCode).toBe('ECONNRESET');
    expect(server.stats().connections).toMatchObject({
      active: 0,
      lingering: 0,
      closed: { eof: 0, error: 0 },
    });
  });

  it('counts as an error when it resets, and makes room', async () => {
    const { server, port } = await startServer(options);
    const client = await untaken(server, port);
    client.end();
    await until(() => server.stats().connections.lingering === 1, 'it to linger');
    client.reset();
    await untilActive(server, 0);
    expect(closed(server)).toMatchObject({ eof: 0, error: 1 });
  });

  it('is cut at the end of a stop, and still gets what was sent', async () => {
    const { server, port } = await startServer(options);
    const client = await untaken(server, port);
    client.end();
    await until(() => server.stats().connections.lingering === 1, 'it to linger');
    expect(await server.close({ drainTimeoutMs: 0 })).toEqual({ cut: 1, threadsEnded: true });
    expect(server.stats().connections).toMatchObject({ active: 0, lingering: 0, closed: { cut: 1, eof: 0 } });
    client.socket.resume();
    expectBytes(await client.readToEnd(), IN_KERNEL); // the kernel has it, and the FIN
  });

  it('delays a stop until it has read', async () => {
    const { server, port } = await startServer(options);
    const client = await untaken(server, port);
    client.end();
    await until(() => server.stats().connections.lingering === 1, 'it to linger');
    const closing = server.close({ drainTimeoutMs: 600_000 });
    client.socket.resume();
    expectBytes(await client.readToEnd(), IN_KERNEL);
    expect(await closing).toEqual({ cut: 0, threadsEnded: true });
  });
});

describe.each(STRATEGIES)('%s: a peer whose kernel takes nothing', (strategy) => {
  const options = { ...TIMEOUTS_OFF, ...FOUR_WORKERS[strategy], strategy };

  it('is reset after the write timeout even when our kernel has the whole echo', async () => {
    const { server, port } = await startServer({ ...options, writeTimeoutMs: 300 });
    const other = await connectTo(port);
    await other.echo('before');
    const client = await untaken(server, port);
    await until(() => closed(server).writeTimeout === 1, 'the write timeout');
    client.socket.resume();
    await client.untilClosed();
    expect(client.errorCode).toBe('ECONNRESET');
    await other.echo('after');
  });

  it('is reset even if the kernel cannot reset a socket in place', async () => {
    const { server, port } = await startServer({ ...options, writeTimeoutMs: 300 });
    const client = await untaken(server, port);
    const connect = vi.spyOn(libc, 'connect').mockReturnValue(-1); // on main only; kernels 6.3 to 6.6 fail with EBUSY
    onTestFinished(() => connect.mockRestore());
    await until(() => closed(server).writeTimeout === 1, 'the write timeout');
    expect(connect).toHaveBeenCalled();
    expect(server.stats().connections).toMatchObject({ active: 0, lingering: 0, closed: { eof: 0 } });
    client.socket.resume();
    await client.untilClosed();
    expect(client.errorCode).toBe('ECONNRESET');
  });

  it('is reset when cut at the end of a drain, while a peer that has its echo gets a FIN', async () => {
    const { server, port } = await startServer(options);
    const done = await connectTo(port);
    await done.echo('all');
    const client = await connectTo(port);
    client.socket.pause();
    client.send(TOO_MUCH);
    await until(() => server.stats().bytesIn > 1 << 20, 'the server to take something');
    await untilSteady(() => server.stats().bytesOut, 'what the server could send');
    expect((await server.close({ drainTimeoutMs: 0 })).cut).toBe(2);
    client.socket.resume();
    await client.untilClosed();
    expect(client.errorCode).toBe('ECONNRESET');
    expectBytes(await done.readToEnd(), '');
  });
});
