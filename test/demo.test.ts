/**
 * Goal: `kecho-pool demo` shows the difference between the strategies without any setup: an echo server, a load under
 * which workqueue queues and cmwq does not, and a dashboard whose address survives a switch of the strategy; and it
 * leaves nothing behind.
 * Method: the program as a child, and in a tmux terminal for its keys; its effects are read from its dashboard's
 * /status.json. Tests of the terminal are skipped without tmux.
 */
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { command as demoCommand } from '../src/cli/commands/demo.ts';
import { Crowd, MAX_CLIENTS } from '../src/demo/crowd.ts';
import { CannotRecord, Recorder } from '../src/demo/recorder.ts';
import { Stage } from '../src/demo/stage.ts';
import { type DemoState, introduction, screenLines } from '../src/demo/view.ts';
import type { ServerStatus } from '../src/schema/status.ts';
import { onConnect } from '../src/sys/self-connect.ts';
import { plainText } from '../src/terminal/text.ts';
import { addressOf } from '../src/top/top-options.ts';
import { BIN, runBin, STACK } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { parsed } from './support/parsed.ts';
import { HAS_TMUX, Terminal } from './support/terminal.ts';
import { until } from './support/wait.ts';

/** A start, a switch or a stop, on a machine that may be busy. */
const DEADLINE_MS = 60_000;

function field(text: string, pattern: RegExp): string {
  const found = pattern.exec(text)?.[1];
  if (found === undefined) throw new Error(`no ${pattern} in:\n${text}`);
  return found;
}

const urlIn = (text: string) => field(text, /dashboard +(http:\S+)/);
const portIn = (text: string) => Number(field(text, /echo server +127\.0\.0\.1:(\d+)/));

async function statusOf(url: string): Promise<ServerStatus> {
  return (await (await fetch(new URL('status.json', url))).json()) as ServerStatus;
}

async function untilStatus(
  url: string,
  condition: (status: ServerStatus) => boolean,
  what: string,
): Promise<void> {
  await until(async () => condition(await statusOf(url)), what, DEADLINE_MS);
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    onConnect(socket, () => {
      socket.destroy();
      resolve(false);
    });
    socket.on('error', () => resolve(true));
  });
}

async function expectGone(url: string, port: number, pid: number): Promise<void> {
  await until(() => !existsSync(`/proc/${pid}`), 'the end of the process');
  // Another test may have got one of the ports.
  for (const one of [port, Number(new URL(url).port)])
    await until(() => isFree(one), `port ${one} to be free`);
}

it.each(['SIGTERM', 'SIGHUP'] as const)(
  'without a terminal it prints the addresses, records what is asked for, and ends on %s',
  async (signal) => {
    const folder = mkdtempSync(join(tmpdir(), 'kecho-demo-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const recording = join(folder, 'demo.html');
    const child = runBin(['demo', '--clients', '2', '--strategy', 'cmwq', '--record', recording]);
    await until(() => child.stdout.includes('strategy '), 'the introduction', DEADLINE_MS);
    const [url, port] = [urlIn(child.stdout), portIn(child.stdout)];
    const ready = await fetch(new URL('readyz', url));
    expect([ready.status, await ready.text()]).toEqual([200, 'listening\n']);
    expect(await statusOf(url)).toMatchObject({
      pid: child.pid,
      address: { port },
      stats: { strategy: 'cmwq' },
    });
    const client = await connectTo(port);
    await client.echo('hello');
    await client.quit();
    await untilStatus(url, ({ stats }) => stats.echoes > 1, 'echoes of the clients');
    child.signal(signal);
    expect(await child.untilEnded(DEADLINE_MS)).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe('');
    expect(child.stdout).toMatch(/^[\x20-\x7e\n]*$/);
    expect(child.stdout).toMatch(/^recorded \d+ s in .*demo\.html, \d+ KiB$/m);
    expect(readFileSync(recording, 'utf8')).toMatch(/^<!doctype html>.*id="recording">[\w+/=]+<\/script>/s);
    await expectGone(url, port, child.pid);
  },
);

it('exits 3 with one line when the admin port is in use', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void other.close());
  await until(() => other.listening, 'the port to be taken');
  const { port } = other.address() as { port: number };
  const child = runBin(['demo', '--admin', `127.0.0.1:${port}`]);
  expect(await child.untilEnded(DEADLINE_MS)).toEqual({ code: 3, signal: null });
  expect(child.stdout).toBe('');
  expect(child.stderr).toBe(`kecho-pool demo: cannot listen on --admin 127.0.0.1:${port}: EADDRINUSE\n`);
});

it('cannot record into a file that cannot be written', () => {
  const stage = new Stage('cmwq', '127.0.0.1:0', {}); // not opened
  expect(() => new Recorder('/nonexistent/demo.html', stage)).toThrow(
    new CannotRecord('cannot write --record /nonexistent/demo.html: ENOENT'),
  );
});

it('exits 2 with one line on wrong usage', async () => {
  const child = runBin(['demo', '--clients', '0']);
  expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
  expect(child.stdout).toBe('');
  expect(child.stderr).toMatch(/^kecho-pool demo: --clients: "0" [^\n]+\n$/);
});

it.each([
  [['--strategy', 'fast'], '--strategy: "fast"', 'kthread, workqueue, cmwq'],
  [['--clients', '65'], '--clients: "65"', '1 to 64'],
  [['--minutes', 'many'], '--minutes: "many"', '1 to 600'],
  [['--admin', 'x:y:z'], '--admin: "x:y:z"', '127.0.0.1:9090'],
  [['--fast'], "'--fast'"],
  [['workqueue'], 'too many arguments', 'workqueue'],
])('%j is refused, with what is allowed', (args, ...parts) => {
  for (const part of parts) expect(() => parsed(demoCommand, args)).toThrow(part);
});

it.each([
  [80, 24],
  [200, 50],
  [40, 10],
  [10, 1],
])('fills %i columns and %i rows and no more', (columns, rows) => {
  const figures = {
    clients: 16,
    echoesPerSecond: 8,
    averageMs: 1500,
    worstMs: 4500,
    open: 14,
    waiting: 12,
    inProgress: 3,
    threads: 2,
  };
  const state: DemoState = {
    url: 'http://127.0.0.1:39999/',
    handlerName: null,
    port: 39998,
    strategy: 'workqueue',
    figures: new Map([['workqueue', figures]]),
    clients: 16,
    loadOn: false,
    notice: 'stopping; then kthread',
    leftMs: 1_800_000,
  };
  const lines = screenLines(state, columns, rows).map(plainText);
  expect(lines).toHaveLength(rows);
  if (columns >= 80) expect(Math.max(...lines.map((text) => text.length))).toBeLessThanOrEqual(80); // no line is cut
  if (rows >= 10)
    expect(lines.join('\n')).toMatch(/^> 2 workqueue +16 +8\.0 +1\.50 s +4\.50 s +14 +12 +3 +2$/m);
});

it('prints a Unix socket as curl and top accept it', () => {
  const lines = introduction({ url: 'unix:/run/demo.sock', port: 12345, handlerName: null });
  expect(lines[0]).toBe('dashboard    unix:/run/demo.sock (curl --unix-socket)');
  expect(lines[1]).toBe('in a shell   npx kecho-pool top unix:/run/demo.sock');
  expect(addressOf('unix:/run/demo.sock', undefined)).toMatchObject({
    address: { kind: 'unix', path: '/run/demo.sock' },
  });
});

describe('the clients', () => {
  /** The test's own server with one client. */
  async function crowdOn(serve: (socket: Socket) => void): Promise<{ crowd: Crowd; times: number[] }> {
    const server = createServer((socket) => serve(socket.on('error', () => {}))).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await until(() => server.listening, 'the server');
    const times: number[] = [];
    const crowd = new Crowd((server.address() as AddressInfo).port, 1, { answered: (ms) => times.push(ms) });
    onTestFinished(() => crowd.close());
    return { crowd, times };
  }

  it('return after the server has cut them between two requests', async () => {
    let visits = 0;
    const { crowd } = await crowdOn((socket) => {
      visits++;
      socket.once('data', (request) => socket.write(request, () => socket.destroy()));
    });
    await until(() => visits >= 2, 'a second visit'); // a client stuck on a cut connection would not return
    await crowd.close();
    expect(crowd.oldestMs).toBe(0);
  });

  it('are cut at hold() when they get no response', async () => {
    const sockets: Socket[] = [];
    const { crowd, times } = await crowdOn((socket) => void sockets.push(socket.resume()));
    await until(() => sockets.length === 1, 'a visit');
    expect(crowd.oldestMs).toBeGreaterThan(0);
    await crowd.hold(50);
    await until(() => sockets[0]?.closed === true, 'the cut');
    await until(() => crowd.oldestMs === 0, 'the end of the visit');
    expect(times).toEqual([]);
  });

  it('number from one to MAX_CLIENTS', async () => {
    const { crowd } = await crowdOn(() => {});
    crowd.size--;
    expect(crowd.size).toBe(1);
    crowd.size = MAX_CLIENTS + 1;
    expect(crowd.size).toBe(MAX_CLIENTS);
  });
});

describe.skipIf(!HAS_TMUX)('on a terminal (tmux)', () => {
  it('ends with one line, exit code 1 and a restored terminal when a strategy cannot start', async () => {
    const terminal = new Terminal(120, 24);
    await terminal.prompt();
    // Descriptors enough for two workers of workqueue, not for cmwq (limits.ts).
    const demo = `${process.execPath} ${BIN} demo --strategy workqueue --clients 1`;
    terminal.type(`clear; (ulimit -n 178; exec ${demo}); echo "code=$?"`);
    await terminal.shows('echo server ');
    terminal.key('3');
    await terminal.shows('code=1');
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
    expect(terminal.text).toMatch(/^kecho-pool demo: .*descriptor limit/m);
    expect(terminal.text).not.toMatch(STACK);
  });

  it('switches the strategy by key, on the same ports: workqueue queues, cmwq does not', async () => {
    const terminal = new Terminal(80, 24);
    await terminal.prompt();
    terminal.type(`${process.execPath} ${BIN} demo; echo "code=$?"`);
    let introduced = '';
    await terminal.until((text) => {
      introduced = text;
      return /echo server +\S+:\d+\s/.test(text);
    }, 'the addresses');
    const [url, port] = [urlIn(introduced), portIn(introduced)];
    const { pid } = await statusOf(url);
    onTestFinished(() => {
      if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
    });
    await untilStatus(
      url,
      ({ stats }) => stats.strategy === 'workqueue' && stats.connections.queued >= 8,
      'half of the clients to wait for the two workers',
    );
    await terminal.until((text) => /^> 2 workqueue +16 /m.test(text), 'the row of workqueue');

    terminal.key('3');
    await untilStatus(url, ({ stats }) => stats.strategy === 'cmwq' && stats.state === 'listening', 'cmwq');
    await untilStatus(
      url,
      ({ stats }) => stats.echoes >= 16 && stats.items.cmWakeup > 0,
      'wake-ups by sleepers',
    );
    const { address, stats, pid: pidNow } = await statusOf(url);
    expect([address?.port, stats.connections.queued, pidNow]).toEqual([port, 0, pid]);
    await terminal.until((text) => /^> 3 cmwq +16 /m.test(text), 'the row of cmwq');
    expect(terminal.text).toMatch(/^ {2}2 workqueue +16 /m); // its figures stay for comparison

    terminal.key('1');
    await untilStatus(
      url,
      ({ stats }) => stats.strategy === 'kthread' && stats.connections.active > 0,
      'kthread',
    );
    terminal.key('Space');
    await terminal.shows('LOAD OFF');
    await untilStatus(url, ({ stats }) => stats.connections.active === 0, 'all clients to have gone');
    terminal.key('+');
    terminal.key('+');
    terminal.key('-');
    terminal.key('1'); // already running
    terminal.key('Space');
    await untilStatus(url, ({ stats }) => stats.connections.active > 0, 'the clients again');
    await terminal.until((text) => /^> 1 kthread +17 /m.test(text), '17 clients');

    terminal.key('q');
    await terminal.shows('code=0');
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
    expect(terminal.text).toMatch(/^> 1 kthread +17 /m); // the table stays behind
    expect(terminal.text).not.toMatch(STACK);
    await expectGone(url, port, pid);
  }, 120_000);
});
