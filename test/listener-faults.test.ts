/**
 * Goal: whatever accept(2) says, whatever others do to the listening socket and however early clients leave, the
 * server says so once, keeps what is open, and goes on accepting. Signals change no byte.
 * Method: accept made to fail with an errno; the server's listening descriptor closed, shut down and its number
 * taken by something else, from inside this process; clients that reset before they are accepted, held back by
 * a fault; a child whose threads get signals all the time.
 */
import { closeSync, openSync, readdirSync, readlinkSync } from 'node:fs';
import { pino } from 'pino';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EchoServerOptions } from '../src/index.ts';
import type { AcceptFaults } from '../src/listener.ts';
import { EchoServer } from '../src/server.ts';
import { duplicate } from '../src/sys/inherited-socket.ts';
import { E, libc } from '../src/sys/libc.ts';
import { closeFd, isListening } from '../src/sys/socket.ts';
import { BIN, Child, type LogLine, whenListening } from './support/child.ts';
import { Client, connectTo, pattern } from './support/client.ts';
import { isPolled, listenersOn, listening, listenOn } from './support/listening.ts';
import { descriptors } from './support/process.ts';
import { closedCount, STRATEGIES, untilActive } from './support/server.ts';
import { inParallel, until } from './support/wait.ts';

const PAUSES = 'accepting pauses: clients wait in the backlog';
const LOST = 'the listening socket is gone: somebody closed it or shut it down';
const FAILED = 'cannot listen again; trying each second';
const AGAIN = 'listening again';
const SHUT_RDWR = 2;
const F_DUPFD_CLOEXEC = 1030;
const FEW_THREADS: EchoServerOptions = { strategy: 'workqueue', workers: 3 };

interface Started {
  server: EchoServer;
  port: number;
  faults: AcceptFaults;
  saying: (msg: string) => LogLine[];
}

/**
 * Few threads, because the listener knows nothing of strategies. The write timeout makes the
 * server look after its socket every 25 ms instead of every second.
 */
async function start(options: EchoServerOptions = {}, fd?: number): Promise<Started> {
  const lines: LogLine[] = [];
  const logger = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) });
  const faults = { failCreations: 0, workers: false, accept: () => 0 };
  const server = new EchoServer(
    { port: 0, writeTimeoutMs: 100, ...(options.strategy === undefined ? FEW_THREADS : {}), ...options },
    logger,
    faults,
  );
  onTestFinished(async () => {
    await server.close({ drainTimeoutMs: 0 });
  });
  const { port } = await server.listen(fd === undefined ? {} : { fd });
  return { server, port, faults, saying: (msg) => lines.filter((line) => line.msg === msg) };
}

function only(fds: readonly number[]): number {
  expect(fds).toHaveLength(1);
  return fds[0] as number; // the line above
}

function attempt(port: number, first?: string): Client {
  const client = new Client(port, first === undefined ? {} : { first: Buffer.from(first) });
  onTestFinished(() => {
    client.socket.destroy();
  });
  return client;
}

describe('accept fails', () => {
  it.each(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'] as const)(
    '%s: pauses, said once, resumes',
    async (code) => {
      const { server, port, faults, saying } = await start();
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
      faults.accept = () => E[code]; // and once more when it comes back
      attempt(port);
      await until(() => saying(PAUSES).length === 2, 'the second time to be said');
      faults.accept = () => 0;
      await (await connectTo(port)).echo('served again');
    },
  );

  it('for one connection only: the next is accepted at once', async () => {
    const { port, faults, saying } = await start();
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

  it('for one connection only, and always: the event loop turns', async () => {
    const { port, faults } = await start();
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

  it('for one connection only, and always: pauses, said once, resumes', async () => {
    const { server, port, faults, saying } = await start();
    const fd = only(listenersOn(port));
    let asked = 0;
    faults.accept = () => {
      asked++;
      return E.EPERM;
    };
    const clients = [attempt(port, 'number 0'), attempt(port, 'number 1')];
    await until(() => !isPolled(fd), 'nobody to look at the socket');
    const before = asked;
    await until(() => asked > before, 'another attempt');
    await until(() => !isPolled(fd), 'the next pause');
    expect(saying(PAUSES)).toMatchObject([{ code: 'EPERM' }]);
    expect(server.stats().connections).toMatchObject({ accepted: 0, active: 0 });
    faults.accept = () => 0;
    for (const [i, client] of clients.entries())
      expect((await client.readExactly(8)).toString()).toBe(`number ${i}`);
    expect(saying(PAUSES)).toHaveLength(1);
    faults.accept = () => E.EPERM; // and once more when it comes back
    attempt(port);
    await until(() => saying(PAUSES).length === 2, 'the second time to be said');
  });

  it('now and then while more wait: the pause is said once', async () => {
    const { port, faults, saying } = await start();
    let asked = 0;
    faults.accept = () => (asked++ % 2 === 0 ? E.EMFILE : 0);
    const clients = Array.from({ length: 3 }, (_, i) => attempt(port, `number ${i}`));
    for (const client of clients) await client.readExactly(8);
    expect(saying(PAUSES)).toHaveLength(1);
  });

  it('closes while it pauses', async () => {
    const { server, port, faults, saying } = await start();
    faults.accept = () => E.ENFILE;
    attempt(port);
    await until(() => saying(PAUSES).length === 1, 'the pause');
    await server.close();
    expect(listenersOn(port)).toEqual([]);
  });
});

describe('the listening socket is taken away', () => {
  async function expectRecovery({ server, port, saying }: Started, first: Client): Promise<void> {
    await until(() => saying(AGAIN).length === 1, 'listening again');
    expect(saying(AGAIN)).toMatchObject([{ address: '127.0.0.1', port }]);
    await first.echo('not disturbed');
    await (await connectTo(port)).echo('served again');
    expect(saying(LOST)).toHaveLength(1);
    expect(server.stats()).toMatchObject({ state: 'listening', connections: { accepted: 2, active: 2 } });
  }

  it.each(STRATEGIES)('%s: closed', async (strategy) => {
    const started = await start({ strategy, ...(strategy === 'workqueue' ? { workers: 2 } : {}) });
    const first = await connectTo(started.port);
    await first.echo('before');
    closeFd(only(listenersOn(started.port)));
    await expectRecovery(started, first);
    expect(started.saying(FAILED)).toEqual([]);
  });

  it('shut down', async () => {
    const started = await start();
    const first = await connectTo(started.port);
    await first.echo('before');
    const open = descriptors();
    libc.shutdown(only(listenersOn(started.port)), SHUT_RDWR);
    await until(() => started.saying(AGAIN).length === 1, 'listening again');
    expect(descriptors()).toBe(open); // the old one is closed
    await expectRecovery(started, first);
  });

  it('closed, and its number is a file by now: the file is left alone', async () => {
    const started = await start();
    const first = await connectTo(started.port);
    await first.echo('before');
    const fd = only(listenersOn(started.port));
    closeFd(fd);
    expect(openSync('/dev/null', 'r')).toBe(fd);
    await expectRecovery(started, first);
    await started.server.close({ drainTimeoutMs: 0 });
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe('/dev/null');
    closeSync(fd);
  });

  it("closed, and its number is somebody else's listening socket: nobody is taken from it", async () => {
    const started = await start();
    const first = await connectTo(started.port);
    await first.echo('before');
    const fd = only(listenersOn(started.port));
    closeFd(fd);
    const other = listening();
    expect(other.fd).toBe(fd);
    const theirs = await connectTo(other.port, { first: Buffer.from('not for the server') });
    await expectRecovery(started, first);
    await started.server.close({ drainTimeoutMs: 0 });
    expect(isListening(other.fd)).toBe(true);
    expect(theirs).toMatchObject({ available: 0, closed: false });
  });

  it('closed, and the port is taken: said once, tried until it is free', async () => {
    const started = await start();
    const first = await connectTo(started.port);
    await first.echo('before');
    const { bind } = libc;
    let attempts = 0;
    const counted = libc as { bind: typeof bind };
    counted.bind = (...args) => {
      attempts++;
      return bind(...args);
    };
    onTestFinished(() => {
      counted.bind = bind;
    });
    closeFd(only(listenersOn(started.port)));
    const thief = listenOn(started.port);
    attempts = 0;
    await until(() => attempts >= 3, 'three attempts');
    expect(started.saying(FAILED)).toMatchObject([{ code: 'EADDRINUSE' }]);
    expect(started.server.address()).toBeNull();
    expect(started.server.status().events.at(-1)?.kind).toBe('listeningLost');
    await first.echo('still served');
    closeFd(thief);
    await expectRecovery(started, first);
    expect(started.server.address()?.port).toBe(started.port);
    expect(started.server.status().events.at(-1)?.kind).toBe('listening');
    expect(started.saying(FAILED)).toHaveLength(1);
  });

  it('closed, and then the server stops', async () => {
    const { server, port, saying } = await start();
    const first = await connectTo(port);
    await first.echo('before');
    closeFd(only(listenersOn(port)));
    const thief = listenOn(port);
    await until(() => saying(FAILED).length === 1, 'a failure');
    const closed = server.close();
    await first.quit();
    expect(await closed).toEqual({ cut: 0, threadsEnded: true });
    closeFd(thief);
  });

  it('accept says that it is no socket', async () => {
    const started = await start();
    const first = await connectTo(started.port);
    await first.echo('before');
    let once = E.ENOTSOCK;
    started.faults.accept = () => {
      const now = once;
      once = 0;
      return now;
    };
    attempt(started.port);
    await until(() => started.saying(AGAIN).length === 1, 'listening again');
    expect(started.saying(LOST)).toHaveLength(1);
    await (await connectTo(started.port)).echo('served again');
  });
});

describe('an inherited socket', () => {
  it('is not shut down at the stop: the next server serves who has waited', async () => {
    const { fd, port } = listening();
    const first = await start({}, duplicate(fd, 0));
    await (await connectTo(port)).echo('served by the first');
    await first.server.close({ drainTimeoutMs: 0 });
    expect(first.saying('listening')).toMatchObject([{ inherited: true, port }]);
    expect(listenersOn(port)).toEqual([fd]); // the server's copies are closed
    const waiting = await connectTo(port, { first: Buffer.from('waits') });
    const second = await start({ strategy: 'kthread' }, duplicate(fd, 0));
    expect((await waiting.readExactly(5)).toString()).toBe('waits');
    expect(second.server.stats().connections.accepted).toBe(1);
  });

  it.each([
    ['closed', (fd: number) => closeFd(fd)],
    ['shut down', (fd: number) => libc.shutdown(fd, SHUT_RDWR)],
  ])('%s: goes on, and so do others who have it', async (_, takeAway) => {
    const { port, fd } = listening();
    const theirs = duplicate(fd, 0);
    const started = await start({}, theirs);
    const first = await connectTo(port);
    await first.echo('before');
    takeAway(theirs);
    await until(() => started.saying(AGAIN).length === 1, 'listening again');
    await first.echo('not disturbed');
    await (await connectTo(port)).echo('served again');
    expect(started.saying(LOST)).toHaveLength(1);
    await started.server.close({ drainTimeoutMs: 0 });
    expect(listenersOn(port)).toEqual([fd]);
  });

  it('with nothing left of it: an error, once, and open connections are served', async () => {
    const { port, fd } = listening();
    const started = await start({}, duplicate(fd, 0));
    const first = await connectTo(port);
    await first.echo('before');
    for (const one of listenersOn(port)) if (one !== fd) closeFd(one);
    await until(() => started.saying(FAILED).length === 1, 'the error');
    await first.echo('still served');
    expect(started.saying(LOST)).toHaveLength(1);
    const closed = started.server.close();
    await first.quit();
    expect(await closed).toMatchObject({ cut: 0 });
  });

  it('shut down, and bound to any port: its port is gone, which is an error, once', async () => {
    const fd = listenOn(0); // not through `listening`: see there
    onTestFinished(() => closeFd(fd));
    const theirs = duplicate(fd, 0);
    const started = await start({}, theirs);
    const first = await connectTo(started.port);
    await first.echo('before');
    libc.shutdown(theirs, SHUT_RDWR);
    await until(() => started.saying(FAILED).length === 1, 'the error');
    expect(started.saying(FAILED)).toMatchObject([{ code: 'EINVAL' }]);
    await first.echo('still served');
    expect(isListening(fd)).toBe(false); // not on some other port either
    expect(started.saying(AGAIN)).toEqual([]);
  });

  it('closed, and its number is a file by now: the file is left alone', async () => {
    const { port, fd } = listening();
    const theirs = duplicate(fd, 0);
    const started = await start({}, theirs);
    const first = await connectTo(port);
    await first.echo('before');
    closeFd(theirs);
    expect(openSync('/dev/null', 'r')).toBe(theirs);
    await until(() => started.saying(AGAIN).length === 1, 'listening again');
    await first.echo('not disturbed');
    await (await connectTo(port)).echo('served again');
    await started.server.close({ drainTimeoutMs: 0 });
    expect(readlinkSync(`/proc/self/fd/${theirs}`)).toBe('/dev/null');
    expect(listenersOn(port)).toEqual([fd]); // what was tried to get the number back is closed
    closeSync(theirs);
  });

  it('closed just before the stop, and no descriptor is to be had: it stops all the same', async () => {
    const { port, fd } = listening();
    const theirs = duplicate(fd, 0);
    const { server } = await start({}, theirs);
    const { fcntl } = libc;
    const failing = libc as { fcntl: typeof fcntl };
    onTestFinished(() => {
      failing.fcntl = fcntl;
    });
    let failed = 0;
    failing.fcntl = (of, command, argument) => {
      if (command !== F_DUPFD_CLOEXEC) return fcntl(of, command, argument);
      failed++;
      return fcntl(of, command, -1); // fails, and so sets errno
    };
    closeFd(theirs);
    expect(await server.close()).toEqual({ cut: 0, threadsEnded: true });
    expect(failed).toBe(1);
    expect(listenersOn(port)).toEqual([fd]);
  });

  it('closed just before the stop: the event loop does not go on to wake for its clients', async () => {
    const { port, fd } = listening();
    const theirs = duplicate(fd, 0);
    const started = await start({}, theirs);
    await (await connectTo(port)).echo('before');
    expect(isPolled(fd)).toBe(true);
    closeFd(theirs);
    void started.server.close();
    expect(isPolled(fd)).toBe(false);
  });

  it('must be a TCP socket that listens; another stays open', async () => {
    const fd = openSync('/dev/null', 'r');
    await expect(start({}, fd)).rejects.toThrow(`descriptor ${fd} is not a TCP socket that listens`);
    closeSync(fd);
  });
});

describe('a stop', () => {
  it.each(STRATEGIES)('%s: serves who is in the backlog already', async (strategy) => {
    const { server, port, faults } = await start({ strategy });
    faults.accept = () => E.EAGAIN; // as if the event loop had not come to it
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
      refused: { draining: 0 },
      closed: { eof: 2, error: 0 },
    });
  });
});

describe.each(STRATEGIES)('%s: clients that leave early', (strategy) => {
  const few = strategy === 'kthread' ? { maxWorkers: 4 } : {};

  it('reset before they are accepted: each is counted, none is lost', async () => {
    const { server, port, faults } = await start({ strategy, ...few });
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

  it('reset at any moment, by the hundred', async () => {
    const { server, port } = await start({ strategy, ...few });
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

describe.each(STRATEGIES)('%s: signals all the time', (strategy) => {
  it('every byte comes back', async () => {
    const handler = 'data:text/javascript,process.on("SIGWINCH",()=>{})'; // without it none would interrupt
    const args = ['--import', handler, BIN, '--port', '0', '--no-pretty', '--strategy', strategy];
    const { child, port } = await whenListening(new Child(process.execPath, args));
    const storm = startStorm(child.pid);
    await inParallel(4, 4, async (i) => {
      const client = await connectTo(port);
      for (let k = 0; k < 16; k++) await client.echo(pattern(150_000, i * 1_000_000 + k));
      await client.quit();
    });
    await inParallel(30, 5, async (i) => {
      const client = await connectTo(port);
      await client.echo(`number ${i}`);
      await client.quit();
    });
    expect(storm.stop()).toBeGreaterThan(100);
    await until(async () => (await child.stats()).connections.active === 0, 'all to be gone');
    expect((await child.stats()).connections).toMatchObject({
      accepted: 34,
      closed: { eof: 34, error: 0 },
    });
    expect((await child.stats()).bytesOut).toBe((await child.stats()).bytesIn);
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });
});

/** A signal to each thread of a process in turn, every ms: kill(2) prefers the thread whose id it is given. */
function startStorm(pid: number): { stop: () => number } {
  let sent = 0;
  const timer = setInterval(() => {
    try {
      for (const thread of readdirSync(`/proc/${pid}/task`)) {
        process.kill(Number(thread), 'SIGWINCH');
        sent++;
      }
    } catch {} // that thread has just ended
  }, 1);
  const stop = () => {
    clearInterval(timer);
    return sent;
  };
  onTestFinished(() => {
    stop();
  });
  return { stop };
}
