/**
 * Goal: under a service manager a restart refuses nobody: the socket is inherited, the manager hears when the
 * server is ready, alive and stopping. Without one nothing of that happens. The units in deploy/ are sound.
 * Method: this process plays the manager: it makes the listening socket, starts one server after the other on it
 * under load and counts on both sides, and reads the datagrams of sd_notify(3). Then systemd's own tools, where
 * they are installed.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { E, errno, libc } from '../src/sys/libc.ts';
import { sendDatagram } from '../src/sys/unix-datagram.ts';
import { Notifier, takeInheritedSocket } from '../src/systemd.ts';
import { BIN, Child, runBin, startBin, whenListening } from './support/child.ts';
import { connectTo, pattern } from './support/client.ts';
import { listening, runActivated } from './support/listening.ts';
import { hasCommand } from './support/process.ts';
import { startServer } from './support/server.ts';
import { until } from './support/wait.ts';

const SOCK_DGRAM_NONBLOCK = 2 | 0o4000;

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kecho-pool-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

/** The manager's end of sd_notify(3). */
class NotifySocket {
  private readonly fd: number;
  private readonly received: string[] = [];

  /** A path, or an abstract name that begins with "@". */
  constructor(name: string) {
    const path = Buffer.from(name.replace('@', '\0'));
    const address = Buffer.concat([Buffer.from([1, 0]), path]); // AF_UNIX in the machine's order
    this.fd = libc.socket(1, SOCK_DGRAM_NONBLOCK, 0);
    expect(libc.bind(this.fd, address, address.length)).toBe(0);
    onTestFinished(() => {
      libc.close(this.fd);
    });
  }

  /** All messages so far. */
  get messages(): string[] {
    const buffer = Buffer.alloc(4096);
    for (;;) {
      const n = libc.recv(this.fd, buffer, buffer.length, 0);
      if (n < 0) break;
      this.received.push(buffer.toString('utf8', 0, n));
    }
    expect(errno()).toBe(E.EAGAIN);
    return this.received;
  }

  async until(what: string): Promise<void> {
    await until(() => this.messages.some((text) => text.startsWith(what)), `the message ${what}`);
  }
}

const FILLING = 'fills the queue';

/** Until the manager's queue takes nothing more. */
function fillQueue(name: string): void {
  const fill = () => {
    for (let i = 0; i < 10_000; i++) sendDatagram(name, FILLING);
  };
  expect(fill).toThrow('EAGAIN');
}

describe('an inherited socket', () => {
  it('is used instead of binding, whatever --host and --port say', async () => {
    const { fd, port } = listening();
    const args = ['--port', '1', '--host', '192.0.2.1', '--strategy', 'kthread'];
    const { child, listening: line } = await whenListening(runActivated(fd, args));
    expect(line).toMatchObject({ inherited: true, address: '127.0.0.1', port });
    expect(child.linesSaying('not used: the listening socket is inherited')).toMatchObject([
      { unused: ['--port', '--host'] },
    ]);
    const client = await connectTo(port);
    await client.echo('served');
    expect((await child.stats()).connections.accepted).toBe(1);
    await client.quit();
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });

  it('is not used when it is meant for another process', async () => {
    const { fd } = listening();
    const child = runBin(['--port', '0', '--no-pretty', '--strategy', 'kthread'], {
      env: { LISTEN_PID: '1', LISTEN_FDS: '1' },
      inherited: fd,
    });
    const { listening: line } = await whenListening(child);
    expect(line).not.toHaveProperty('inherited');
  });

  it.each([
    ['two sockets', '2', 'one listening TCP socket (Accept=no)'],
    ['no number', 'x', 'one listening TCP socket (Accept=no)'],
    ['a file', '1', 'one listening TCP socket (Accept=no); descriptor 3 is none'],
  ])('%s: one line, exit 2', async (what, count, allowed) => {
    const fd = what === 'a file' ? 0 : listening().fd;
    const child = runActivated(fd, [], { env: { LISTEN_FDS: count } });
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
    expect(child.stderr).toBe(`kecho-pool: LISTEN_FDS: "${count}" is not allowed: ${allowed}\n`);
    expect(child.stdout).toBe('');
  });

  it('is taken out of the environment', () => {
    const environment = { LISTEN_PID: '7', LISTEN_FDS: '0', LISTEN_FDNAMES: 'a', PATH: '/bin' };
    expect(takeInheritedSocket(environment, 7)).toBeNull();
    expect(environment).toEqual({ PATH: '/bin' });
  });
});

/** Clients that connect, echo and close without pause. */
function startClients(port: number, lanes: number) {
  let served = 0;
  let stopping = false;
  const failures: string[] = [];
  const one = (text: Buffer) =>
    new Promise<void>((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' });
      const got: Buffer[] = [];
      const fail = (why: string) => {
        failures.push(why);
        resolve();
      };
      socket.on('connect', () => socket.end(text));
      socket.on('data', (chunk: Buffer) => got.push(chunk));
      socket.on('error', ({ message }) => fail(message));
      socket.on('end', () => {
        if (!Buffer.concat(got).equals(text)) return fail(`${Buffer.concat(got).length} bytes`);
        served++;
        resolve();
      });
    });
  const lane = async (number: number) => {
    for (let i = 0; !stopping; i++) await one(pattern(1 + ((i * 997) % 5000), number * 100_000 + i));
  };
  const all = Promise.all(Array.from({ length: lanes }, (_, i) => lane(i)));
  return {
    served: () => served,
    async stop() {
      stopping = true;
      await all;
      return { served, failures };
    },
  };
}

describe('restart under load', () => {
  it('refuses and loses nobody, three times over', async () => {
    const { fd, port } = listening();
    const clients = startClients(port, 6);
    let accepted = 0;
    for (const strategy of ['cmwq', 'workqueue', 'kthread', 'cmwq']) {
      const { child } = await whenListening(runActivated(fd, ['--strategy', strategy]));
      const before = clients.served();
      await until(() => clients.served() >= before + 60, 'sixty more to be served');
      const last = accepted; // with the last server, the clients stop first
      const result = strategy === 'cmwq' && last > 0 ? await clients.stop() : null;
      child.signal('SIGTERM');
      expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
      const stopped = await child.line('stopped');
      expect(stopped).toMatchObject({ cut: 0, threadsEnded: true });
      accepted += Number(stopped.accepted);
      expect(child.stderr).toBe('');
      if (result !== null) expect(result).toEqual({ served: accepted, failures: [] });
    }
    expect((await clients.stop()).served).toBe(accepted);
  }, 90_000);

  it.skipIf(!hasCommand('systemd-socket-activate'))('systemd-socket-activate (package systemd)', async () => {
    const any = listening();
    libc.close(any.fd);
    const args = [
      '-l',
      `127.0.0.1:${any.port}`,
      process.execPath,
      BIN,
      '--no-pretty',
      '--strategy',
      'kthread',
    ];
    const child = new Child('systemd-socket-activate', args);
    await until(() => child.stderr.includes('Listening on'), 'the socket');
    const first = await connectTo(any.port, { first: Buffer.from('starts the server') });
    expect((await first.readExactly(17)).toString()).toBe('starts the server');
    expect(await child.line('listening')).toMatchObject({ inherited: true, port: any.port });
    await first.quit();
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(await child.line('stopped')).toMatchObject({ accepted: 1, cut: 0 });
  });
});

describe('--reuse-port', () => {
  const kthread = ['--strategy', 'kthread'];

  it('lets two servers share a port, and both get connections', async () => {
    const first = await startBin(['--reuse-port', ...kthread]);
    const args = ['--reuse-port', '--port', String(first.port), '--no-pretty', ...kthread];
    const second = await whenListening(runBin(args));
    for (let i = 0; i < 30; i++) {
      const client = await connectTo(first.port);
      await client.echo(`number ${i}`);
      await client.quit();
    }
    const counts = [await first.child.stats(), await second.child.stats()].map((s) => s.connections.accepted);
    expect(counts[0]).toBeGreaterThan(0);
    expect(counts[1]).toBeGreaterThan(0);
    expect(Number(counts[0]) + Number(counts[1])).toBe(30);
  });

  it('one of two servers stops, and the other one has the port to itself', async () => {
    const options = { reusePort: true, strategy: 'kthread' } as const;
    const first = await startServer(options);
    const second = await startServer({ ...options, port: first.port });
    await first.server.close();
    for (let i = 0; i < 5; i++) await (await connectTo(second.port)).echo(`number ${i}`);
    expect(second.server.stats().connections.accepted).toBe(5);
  });

  it('without it the second says that the port is taken: exit 3', async () => {
    const { port } = await startBin(['--reuse-port', ...kthread]);
    const second = runBin(['--port', String(port), '--no-pretty', ...kthread]);
    expect(await second.untilEnded()).toEqual({ code: 3, signal: null });
    expect(second.stderr).toContain('EADDRINUSE');
  });
});

describe('sd_notify', () => {
  const args = ['--port', '0', '--no-pretty', '--strategy', 'workqueue', '--workers', '1'];
  const CANNOT = 'NOTIFY_SOCKET: the service manager cannot be told';

  it.each([
    ['a path', () => join(temporaryFolder(), 'notify')],
    ['an abstract name', () => `@kecho-pool-${process.pid}`],
  ])('%s: ready, alive, stopping', async (_, makeName) => {
    const name = makeName();
    const manager = new NotifySocket(name);
    const child = runBin(args, { env: { NOTIFY_SOCKET: name, WATCHDOG_USEC: '40000' } });
    const { port } = await whenListening(child);
    await manager.until('READY=1');
    expect(manager.messages[0]).toBe(`READY=1\nSTATUS=listening on 127.0.0.1 port ${port}, workqueue`);
    const alive = () => manager.messages.filter((text) => text === 'WATCHDOG=1').length;
    await until(() => alive() >= 3, 'three keepalives');
    const client = await connectTo(port);
    await client.echo('open');
    child.signal('SIGTERM');
    await manager.until('STOPPING=1');
    expect(manager.messages.filter((text) => text.startsWith('STOPPING=1'))).toEqual([
      'STOPPING=1\nSTATUS=draining, 1 open\nEXTEND_TIMEOUT_USEC=20000000',
    ]);
    await client.quit();
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.linesSaying(CANNOT)).toEqual([]);
  });

  it('nobody there: said once, and served all the same', async () => {
    const env = { NOTIFY_SOCKET: join(temporaryFolder(), 'none'), WATCHDOG_USEC: '20000' };
    const { child, port } = await whenListening(runBin(args, { env }));
    await (await connectTo(port)).quit();
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.linesSaying(CANNOT)).toMatchObject([{ code: 'ENOENT' }]);
  });

  it('sends nothing without NOTIFY_SOCKET, and no keepalives that are for another process', async () => {
    const failures: string[] = [];
    const silent = new Notifier({ WATCHDOG_USEC: '1000' }, 7, (code) => failures.push(code));
    silent.ready('');
    silent.stopping('', 0);
    const name = join(temporaryFolder(), 'notify');
    const manager = new NotifySocket(name);
    const environment = { NOTIFY_SOCKET: name, WATCHDOG_USEC: '1000', WATCHDOG_PID: '8' };
    const other = new Notifier(environment, 7, (code) => failures.push(code));
    other.ready('here');
    other.stopping('gone', 1);
    await manager.until('STOPPING=1');
    expect(manager.messages).toEqual([
      'READY=1\nSTATUS=here',
      'STOPPING=1\nSTATUS=gone\nEXTEND_TIMEOUT_USEC=1000',
    ]);
    expect(failures).toEqual([]);
  });

  it.each(['0', '-1', 'soon'])('no keepalives with a watchdog time of %s', (usec) => {
    vi.useFakeTimers();
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const name = join(temporaryFolder(), 'notify');
    const manager = new NotifySocket(name);
    const notifier = new Notifier({ NOTIFY_SOCKET: name, WATCHDOG_USEC: usec }, 7, () => {});
    notifier.ready('here');
    expect(vi.getTimerCount()).toBe(0);
    expect(manager.messages).toEqual(['READY=1\nSTATUS=here']);
  });

  it('says nothing any more once it is closed, neither keepalives nor what has waited', () => {
    vi.useFakeTimers();
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const name = join(temporaryFolder(), 'notify');
    const manager = new NotifySocket(name);
    const notifier = new Notifier({ NOTIFY_SOCKET: name, WATCHDOG_USEC: '40000' }, 7, () => {});
    notifier.ready('here');
    vi.advanceTimersByTime(20);
    const said = ['READY=1\nSTATUS=here', 'WATCHDOG=1', 'WATCHDOG=1'];
    expect(manager.messages).toEqual(said);
    fillQueue(name);
    notifier.stopping('gone', 0);
    expect(vi.getTimerCount()).toBe(2); // the next keepalive, and another attempt
    notifier.close();
    expect(vi.getTimerCount()).toBe(0);
    const { length } = manager.messages; // there is room again
    vi.advanceTimersByTime(10_000);
    expect(manager.messages).toHaveLength(length);
    expect(manager.messages.filter((text) => text !== FILLING)).toEqual(said);
  });

  it.each(['relative', '@', `/${'x'.repeat(120)}`])('a name that no socket has: %s', (name) => {
    const failures: string[] = [];
    const notifier = new Notifier({ NOTIFY_SOCKET: name }, 7, (code) => failures.push(code));
    notifier.ready('');
    notifier.stopping('', 0);
    expect(failures).toEqual(['neither an absolute path nor an abstract name']);
  });

  it('waits for a manager whose queue is full, and keeps the order', async () => {
    const name = join(temporaryFolder(), 'notify');
    const manager = new NotifySocket(name);
    fillQueue(name);
    const failures: string[] = [];
    const notifier = new Notifier({ NOTIFY_SOCKET: name }, 7, (code) => failures.push(code));
    onTestFinished(() => notifier.close());
    notifier.ready('here');
    notifier.stopping('gone', 0);
    await manager.until('STOPPING=1');
    const [ready, stopping] = manager.messages.slice(-2);
    expect(ready).toBe('READY=1\nSTATUS=here');
    expect(stopping).toMatch(/^STOPPING=1\nSTATUS=gone\n/);
    expect(failures).toEqual([]);
  });
});

describe.skipIf(!hasCommand('systemd-analyze'))('deploy/systemd (package systemd)', () => {
  const UNITS = fileURLToPath(new URL('../deploy/systemd', import.meta.url));

  /** The units with a program that exists here in the place of the installed one. */
  function units(): string[] {
    const folder = temporaryFolder();
    return ['kecho-pool.service', 'kecho-pool.socket'].map((name) => {
      const text = readFileSync(join(UNITS, name), 'utf8');
      const path = join(folder, name);
      writeFileSync(
        path,
        text.replace('ExecStart=/usr/local/bin/kecho-pool', `ExecStart=${process.execPath}`),
      );
      return path;
    });
  }

  it('systemd-analyze verify says nothing', () => {
    const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', ...units()], {
      encoding: 'utf8',
    });
    expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
  });

  it('systemd-analyze security: an exposure below 1 of 10', () => {
    const [service = ''] = units();
    const args = ['security', '--offline=true', '--threshold=10', '--no-pager', service];
    const report = execFileSync('systemd-analyze', args, { encoding: 'utf8' }); // fails above the threshold
    expect(report).toContain('Overall exposure level');
  });

  it('starts the program with options that it takes, and waits longer than it drains', () => {
    const text = readFileSync(join(UNITS, 'kecho-pool.service'), 'utf8');
    const command = /^ExecStart=\S+ (.*)$/m.exec(text)?.[1]?.split(' ') ?? [];
    const printed = execFileSync(process.execPath, [BIN, ...command, '--print-config'], { encoding: 'utf8' });
    const { drainTimeoutMs } = JSON.parse(printed) as { drainTimeoutMs: number };
    expect(Number(/^TimeoutStopSec=(\d+)s$/m.exec(text)?.[1]) * 1000).toBeGreaterThan(drainTimeoutMs + 5000);
  });
});
