/**
 * Goal: however accept(2) fails and however early clients leave, the server logs it once, counts each client, loses
 * none, and keeps accepting; a stop still serves the connections in the backlog.
 * Method: accept made to fail with an errno; clients that reset before they are accepted, held back by a fault.
 */
import { describe, expect, it } from 'vitest';
import { noRefusals } from '../src/server/refusals.ts';
import { E } from '../src/sys/libc.ts';
import { type Client, connectTo, pattern } from './support/client.ts';
import { attempt, LOST, only, PAUSES, startFaulty } from './support/faulty-server.ts';
import { isPolled, listenersOn } from './support/listening.ts';
import { closedCount, STRATEGIES, untilActive } from './support/server.ts';
import { inParallel, until } from './support/wait.ts';

describe('accept fails', () => {
  it.each(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'] as const)(
    'with %s: pauses, logs it once, resumes',
    async (code) => {
      const { server, port, faults, saying } = await startFaulty();
      let asked = 0;
      faults.accept = () => {
        asked++;
        return E[code];
      };
      const clients = Array.from({ length: 5 }, (_, i) => attempt(port, `number ${i}`));
      await until(() => asked >= 3, 'three attempts');
      expect(saying(PAUSES)).toMatchObject([{ code }]);
      expect(server.stats().connections).toMatchObject({ accepted: 0, active: 0 });
      faults.accept = () => 0;
      for (const [i, client] of clients.entries()) {
        expect((await client.readExactly(8)).toString()).toBe(`number ${i}`);
        await client.quit();
      }
      expect(saying(PAUSES)).toHaveLength(1);
      await untilActive(server, 0);
      expect(server.stats().connections).toMatchObject({ accepted: 5, closed: { eof: 5, error: 0 } });
      faults.accept = () => E[code]; // again: logged again
      attempt(port);
      await until(() => saying(PAUSES).length === 2, 'the second log line');
      faults.accept = () => 0;
      await (await connectTo(port)).echo('served again');
    },
  );

  it('for one connection: accepts the next at once', async () => {
    const { port, faults, saying } = await startFaulty();
    const codes = ['ECONNABORTED', 'EPROTO', 'EPERM', 'ENETDOWN', 'EHOSTUNREACH', 'EINTR'] as const;
    for (const code of codes) {
      let left = 300; // more than one batch
      faults.accept = () => (left-- > 0 ? E[code] : 0);
      const client = await connectTo(port);
      await client.echo('served');
      expect(left).toBeLessThan(0);
      await client.quit();
    }
    expect(saying(PAUSES)).toEqual([]);
    expect(saying(LOST)).toEqual([]);
  });

  it('for one connection after another: the event loop keeps turning', async () => {
    const { port, faults } = await startFaulty();
    let [asked, inThisTurn, most] = [0, 0, 0];
    faults.accept = () => {
      if (inThisTurn++ === 0) {
        setImmediate(() => {
          inThisTurn = 0;
        });
      }
      most = Math.max(most, inThisTurn);
      return asked++ < 1000 ? E.EPERM : 0;
    };
    await attempt(port, 'served').readExactly(6);
    expect(most).toBeLessThanOrEqual(256);
  });

  it('for every connection: pauses, logs it once, resumes', async () => {
    const { server, port, faults, saying } = await startFaulty();
    const fd = only(listenersOn(port));
    let asked = 0;
    faults.accept = () => {
      asked++;
      return E.EPERM;
    };
    const clients = [attempt(port, 'number 0'), attempt(port, 'number 1')];
    await until(() => !isPolled(fd), 'the first pause');
    const before = asked;
    await until(() => asked > before, 'another attempt');
    await until(() => !isPolled(fd), 'the next pause');
    expect(saying(PAUSES)).toMatchObject([{ code: 'EPERM' }]);
    expect(server.stats().connections).toMatchObject({ accepted: 0, active: 0 });
    faults.accept = () => 0;
    for (const [i, client] of clients.entries())
      expect((await client.readExactly(8)).toString()).toBe(`number ${i}`);
    expect(saying(PAUSES)).toHaveLength(1);
    faults.accept = () => E.EPERM; // again: logged again
    attempt(port);
    await until(() => saying(PAUSES).length === 2, 'the second log line');
  });

  it('now and then while more wait: logs the pause once', async () => {
    const { port, faults, saying } = await startFaulty();
    let asked = 0;
    faults.accept = () => (asked++ % 2 === 0 ? E.EMFILE : 0);
    const clients = Array.from({ length: 3 }, (_, i) => attempt(port, `number ${i}`));
    for (const client of clients) await client.readExactly(8);
    expect(saying(PAUSES)).toHaveLength(1);
  });

  it('closes while it pauses', async () => {
    const { server, port, faults, saying } = await startFaulty();
    faults.accept = () => E.ENFILE;
    attempt(port);
    await until(() => saying(PAUSES).length === 1, 'the pause');
    await server.close();
    expect(listenersOn(port)).toEqual([]);
  });
});

describe('a stop', () => {
  it.each(STRATEGIES)('%s: serves the connections in the backlog', async (strategy) => {
    const { server, port, faults } = await startFaulty({ strategy });
    faults.accept = () => E.EAGAIN; // as if the event loop had not accepted yet
    const clients = [await connectTo(port), await connectTo(port)];
    faults.accept = () => 0;
    const closed = server.close();
    for (const client of clients) {
      await client.echo(pattern(10_000));
      await client.quit();
    }
    expect(await closed).toEqual({ cut: 0, threadsEnded: true });
    expect(server.stats().connections).toMatchObject({
      accepted: 2,
      refused: noRefusals(),
      closed: { eof: 2, error: 0 },
    });
  });
});

describe.each(STRATEGIES)('%s: clients that leave early', (strategy) => {
  const few = strategy === 'kthread' ? { maxWorkers: 4 } : {};

  it('are counted and not lost when they reset before they are accepted', async () => {
    const { server, port, faults } = await startFaulty({ strategy, ...few });
    faults.accept = () => E.ENFILE;
    const clients: Client[] = [];
    for (let i = 0; i < 200; i++) clients.push(await connectTo(port));
    clients.forEach((client, i) => {
      if (i % 2 === 0) client.send('with data');
    });
    await until(() => clients.every(({ socket }) => socket.writableLength === 0), 'the data to be sent');
    for (const client of clients) client.reset();
    const waiting = await connectTo(port, { first: Buffer.from('behind them') });
    faults.accept = () => 0;
    expect((await waiting.readExactly(11)).toString()).toBe('behind them');
    await untilActive(server, 1);
    const { connections } = server.stats();
    expect(connections.accepted).toBe(201);
    expect(closedCount(server)).toBe(200);
    expect(connections.closed).toMatchObject({ cut: 0, workerDied: 0 });
  });

  it('are counted when hundreds reset at any moment', async () => {
    const { server, port } = await startFaulty({ strategy, ...few });
    await inParallel(400, 40, async (i) => {
      const client = await connectTo(port, i % 3 === 0 ? { first: pattern(2000) } : {});
      client.reset();
      await client.untilClosed();
    });
    await (await connectTo(port)).echo('served');
    await untilActive(server, 1);
    expect(server.stats().connections.accepted).toBe(401);
    expect(closedCount(server)).toBe(400);
  });
});
