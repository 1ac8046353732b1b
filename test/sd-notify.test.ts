/**
 * Goal: a service manager hears when the server is ready, alive and stopping, in this order and also when its queue
 * is full; without one nothing is sent, and one that cannot be told costs a line in the log.
 * Method: this process plays the manager and reads the datagrams of sd_notify(3), from the program as a child and
 * from a Notifier in this process.
 */
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Notifier } from '../src/cli/systemd.ts';
import { E, errno, libc } from '../src/sys/libc.ts';
import { sendDatagram } from '../src/sys/unix-datagram.ts';
import { runBin, whenListening } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { until } from './support/wait.ts';

const SOCK_DGRAM_NONBLOCK = 2 | 0o4000;

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

describe('sd_notify', () => {
  const args = ['--port', '0', '--no-pretty', '--strategy', 'workqueue', '--workers', '1'];
  const CANNOT = 'cannot notify the service manager (NOTIFY_SOCKET)';

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
