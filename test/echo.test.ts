/**
 * Goal: every byte sent comes back and no other, whatever the sizes, the values and the clients' behaviour; none of the
 * defects of the original kecho.
 * Method: each strategy as a server in this process, over real sockets. Assertions are on the bytes that arrive up to
 * the server's FIN, and on the server's own counters.
 */
import { describe, expect, it } from 'vitest';
import { freePort } from '../bench/free-port.ts';
import { connectTo, expectBytes, pattern } from './support/client.ts';
import { backlogOf, descriptors, hasCommand, threads } from './support/process.ts';
import { active, closedCount, STRATEGIES, startServer, untilActive } from './support/server.ts';
import { sized } from './support/size.ts';
import { inParallel, until, untilSteady } from './support/wait.ts';

const MIB = 1 << 20;
const MANY = sized(500);
/** Telnet's commands begin with 255: negotiations, a subnegotiation, a doubled 255, an interrupt. */
const TELNET_IAC = Buffer.from([
  255, 253, 1, 255, 251, 3, 255, 250, 24, 1, 255, 240, 255, 255, 255, 244, 255,
]);

describe.each(STRATEGIES)('%s: the defects of the original kecho', (strategy) => {
  it('sends no garbage after the echo', async () => {
    const { server, port } = await startServer({ strategy });
    const client = await connectTo(port);
    await client.echo('x'.repeat(5000));
    for (const text of ['a', '\0', 'b\0c', '\0\0\0\0', 'no end of line', '\n']) await client.echo(text);
    await client.quit(); // fails if anything but a FIN arrives
    await untilActive(server, 0);
    expect(server.stats().bytesOut).toBe(server.stats().bytesIn);
  });

  it('repeats nothing of earlier requests, of this connection or another', async () => {
    const { port } = await startServer({ strategy });
    const first = await connectTo(port);
    await first.echo(Buffer.alloc(65536, 'A'));
    await first.echo('short');
    await first.quit();
    const second = await connectTo(port, { first: Buffer.from('s'), thenEnd: true });
    expectBytes(await second.readToEnd(), 's');
  });

  it('stops receiving and sending when the client quits', async () => {
    const { server, port } = await startServer({ strategy });
    const client = await connectTo(port);
    for (const text of ['one', 'two', 'three']) await client.echo(text);
    await client.quit();
    await untilActive(server, 0);
    const { echoes, bytesIn, bytesOut, connections } = server.stats();
    expect({ echoes, bytesIn, bytesOut }).toEqual({ echoes: 3, bytesIn: 11, bytesOut: 11 });
    expect(connections.closed).toMatchObject({ eof: 1, error: 0 });
  });

  it('survives a client that quits, and frees the port when it stops', async () => {
    const { server, port } = await startServer({ strategy, port: freePort() });
    await (await connectTo(port)).quit();
    const open = await connectTo(port);
    await open.echo('still here');
    await server.close({ drainTimeoutMs: 0 }); // the server closes first, so TIME_WAIT is on its side
    open.socket.destroy();
    const again = await startServer({ strategy, port });
    expect(again.port).toBe(port);
    await (await connectTo(port)).echo('again');
  });

  it('listens on the given port', async () => {
    const { server, port } = await startServer({ strategy, port: freePort() }); // no other program takes it meanwhile
    await server.close();
    const given = await startServer({ strategy, port });
    expect(given.server.address()).toMatchObject({ address: '127.0.0.1', port });
  });

  it.skipIf(!hasCommand('ss'))('passes the given backlog to the kernel', async () => {
    const { port } = await startServer({ strategy, backlog: 7 });
    expect(backlogOf(port)).toBe(7);
  });

  it('closes everything when it stops', async () => {
    await (await startServer({ strategy })).server.close(); // warm-up: what is loaded once stays
    // The kernel lists a joined thread for a moment longer.
    const before = { threads: await untilSteady(threads, 'the threads'), descriptors: descriptors() };
    const { server, port } = await startServer({ strategy, port: freePort(), drainTimeoutMs: 0 });
    const clients = await Promise.all([connectTo(port), connectTo(port)]);
    for (const client of clients) await client.echo('open');
    await server.close();
    for (const client of clients) expectBytes(await client.readToEnd(), '');
    for (const client of clients) client.socket.destroy();
    await Promise.all(clients.map((client) => client.untilClosed()));
    await expect(connectTo(port)).rejects.toThrow('ECONNREFUSED');
    await until(() => threads() <= before.threads, 'the threads to be gone');
    await until(() => descriptors() <= before.descriptors, 'the descriptors to be closed');
  });
});

describe.each(STRATEGIES)('%s: bytes', (strategy) => {
  it('echoes every byte value, including NUL and telnet commands', async () => {
    const { port } = await startServer({ strategy });
    const client = await connectTo(port);
    const values = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    for (const bytes of [values, values.toReversed(), Buffer.alloc(1000), TELNET_IAC])
      await client.echo(bytes);
    for (const value of [0, 3, 4, 10, 13, 26, 127, 128, 254, 255]) await client.echo(Buffer.of(value));
    await client.quit();
  });

  it('echoes messages of 1 B to 1 MiB', async () => {
    const { server, port } = await startServer({ strategy });
    const client = await connectTo(port);
    const sizes = [1, 2, 3, 255, 1460, 4096, 65535, 65536, 65537, 131071, 300_000, MIB - 1, MIB];
    let start = 0;
    for (const size of sizes) {
      await client.echo(pattern(size, start));
      start += size;
    }
    await client.quit();
    await untilActive(server, 0);
    expect(server.stats()).toMatchObject({ bytesIn: start, bytesOut: start, spills: { inUse: 0 } });
  });

  it('returns 1 MiB that a FIN follows before it sends its own FIN', async () => {
    const { server, port } = await startServer({ strategy });
    const bytes = pattern(MIB);
    const client = await connectTo(port, { first: bytes, thenEnd: true });
    expectBytes(await client.readToEnd(), bytes);
    await untilActive(server, 0);
    expect(server.stats().connections.closed).toMatchObject({ eof: 1, error: 0 });
  });

  it('echoes data that arrives with the connection', async () => {
    const { port } = await startServer({ strategy });
    const client = await connectTo(port, { first: Buffer.from('early') });
    expectBytes(await client.readExactly(5), 'early');
    await client.echo('later');
    await client.quit();
  });
});

describe.each(STRATEGIES)('%s: clients that leave', (strategy) => {
  const options = strategy === 'kthread' ? { strategy, maxWorkers: 16 } : { strategy };
  const width = strategy === 'kthread' ? 20 : 50;

  it(`serves ${MANY} connections that connect and leave`, async () => {
    const { server, port } = await startServer(options);
    await inParallel(MANY, width, async (i) => {
      const client = await connectTo(port);
      if (i % 2 === 0) await client.echo(`number ${i}`);
      await client.quit();
    });
    await untilActive(server, 0);
    const { accepted, closed } = server.stats().connections;
    expect({ accepted, eof: closed.eof }).toEqual({ accepted: MANY, eof: MANY });
  });

  it('survives 300 clients that reset in the middle of a message', async () => {
    const { server, port } = await startServer(options);
    const message = pattern(200_000);
    await inParallel(300, width, async (i) => {
      const client = await connectTo(port, { first: message });
      if (i % 3 === 0) await client.untilAvailable(1);
      client.reset();
      await client.untilClosed();
    });
    await until(() => closedCount(server) === 300, '300 closed connections');
    expect(active(server)).toBe(0);
    expect(server.stats().spills.inUse).toBe(0);
    await (await connectTo(port)).echo('still serving');
  });
});
