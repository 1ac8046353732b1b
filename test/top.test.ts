/**
 * Goal: `kecho-pool top` obeys its keys in a real terminal, survives changes of its size and the loss of the server, and
 * gives the terminal back however it ends; without a terminal it is a plain program.
 * Method: the program as a child for its output, and in a terminal that tmux makes for screen and keys. It asks a fake
 * admin endpoint, whose figures are known, and once a real server. Skipped where tmux is missing: what needs a terminal.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { frameOf } from '../src/top/frame.ts';
import { StatusClient, Unreachable } from '../src/top/status-client.ts';
import { plainView } from '../src/top/view.ts';
import { BIN, type Child, runBin, startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { aSecondLater, FakeAdmin, fakeStatus } from './support/fake-admin.ts';
import { HAS_TMUX, Terminal } from './support/terminal.ts';
import { pause, until, untilSteady } from './support/wait.ts';

const STACK = /\bat \S+ \(|node:internal|\.[jt]s:\d/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const COLOURS = /\x1b\[[\d;]*[34][1-7]m/;

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kecho-top-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

function lineWith(lines: readonly string[], part: string): string {
  const found = lines.find((line) => line.includes(part));
  if (found === undefined) throw new Error(`no line with ${part} in:\n${lines.join('\n')}`);
  return found;
}

/** An HTTP server on any port. */
async function serve(answer: (response: ServerResponse) => void): Promise<{ port: number }> {
  const server = createServer((_, response) => answer(response)).listen(0, '127.0.0.1');
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  await until(() => server.listening, 'the server');
  return { port: (server.address() as AddressInfo).port };
}

/** What top asks with, before such a server. */
async function clientOf(answer: (response: ServerResponse) => void) {
  const { port } = await serve(answer);
  const client = new StatusClient({ kind: 'tcp', host: '127.0.0.1', port }, `127.0.0.1:${port}`);
  onTestFinished(() => client.close());
  return { port, client };
}

/** One line on standard error, nothing on standard output, no stack. */
async function expectComplaint(child: Child, code: number, ...parts: string[]): Promise<void> {
  expect(await child.untilEnded()).toEqual({ code, signal: null });
  expect(child.stdout).toBe('');
  expect(child.stderr).toMatch(/^kecho-pool top: [^\n]+\n$/);
  expect(child.stderr).not.toMatch(STACK);
  for (const part of parts) expect(child.stderr).toContain(part);
}

describe('without a terminal', () => {
  it('--once prints plain text and ends; no terminal is the same', async () => {
    const base = fakeStatus(3, 2);
    const later = aSecondLater(base);
    for (const args of [['--once'], []]) {
      const statuses = [base, later];
      const admin = await new FakeAdmin(() => statuses.shift()).start();
      const child = runBin(['top', ...args, '--interval', '100ms', admin.address]);
      expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
      expect(child.stderr).toBe('');
      expect(child.stdout).toBe(plainView(frameOf(later, base)));
      expect(child.stdout).toMatch(/^[\x20-\x7e\n]*$/);
      expect(child.stdout).toContain('echoes 12,345/s');
      expect(admin.requests).toBe(2);
    }
  });

  it('--json prints a line per look', async () => {
    const base = fakeStatus(3, 2);
    const admin = await new FakeAdmin(() => base).start();
    const child = runBin(['top', '--json', '--interval', '100ms', `http://${admin.address}/`]);
    await until(() => child.stdout.split('\n').length > 3, 'three lines');
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    const lines = child.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    const { atMs, ...status } = lines[0] ?? {};
    expect(Number(atMs)).toBeGreaterThanOrEqual(0);
    expect(status).toEqual(base);
    expect(Number(lines[2]?.atMs)).toBeGreaterThan(Number(lines[1]?.atMs));
  });

  it('--json --once prints one; a Unix socket, from the environment', async () => {
    const path = join(temporaryFolder(), 'admin.sock');
    await new FakeAdmin(() => fakeStatus(1, 1)).start(path);
    const child = runBin(['top', '--json', '--once'], { env: { KECHO_POOL_ADMIN: path } });
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(JSON.parse(child.stdout)).toMatchObject({ atMs: expect.any(Number), pid: 4711 });
  });

  it('a server that closes idle connections is not lost', async () => {
    const seen = new WeakSet<object>();
    const server = createServer((request, response) => {
      if (seen.has(request.socket)) request.socket.destroy();
      else response.end(JSON.stringify(fakeStatus(1, 1)));
      seen.add(request.socket);
    }).listen(0, '127.0.0.1');
    onTestFinished(() => void server.close());
    await until(() => server.listening, 'the server');
    const { port } = server.address() as AddressInfo;
    const child = runBin(['top', '--json', '--interval', '100ms', `${port}`]);
    await until(() => child.stdout.split('\n').length > 3, 'three lines');
    child.signal('SIGINT');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe('');
  });

  it('a reader that wants no more ends it without a word', async () => {
    const admin = await new FakeAdmin(() => fakeStatus(1, 1)).start();
    const child = runBin(['top', '--json', '--interval', '100ms', admin.address]);
    await until(() => child.stdout.includes('\n'), 'a line');
    child.process.stdout?.destroy();
    await child.untilEnded();
    expect(child.stderr).toBe('');
  });

  it('a server that is gone at the start is one line and exit code 1', async () => {
    const admin = await new FakeAdmin(() => null).start();
    await admin.stop();
    await expectComplaint(
      runBin(['top', '--once', admin.address]),
      1,
      `cannot reach ${admin.address} (ECONNREFUSED)`,
    );
    await expectComplaint(
      runBin(['top', '--json', '/nowhere/admin.sock']),
      1,
      'cannot reach /nowhere/admin.sock (ENOENT)',
    );
  });

  it('what is no admin endpoint is called so', async () => {
    const admin = await new FakeAdmin(() => ({ hello: 'world' })).start();
    await expectComplaint(
      runBin(['top', '--once', admin.address]),
      1,
      `${admin.address} is no admin endpoint of kecho-pool`,
    );
    const { port } = await startBin([]);
    await expectComplaint(
      runBin(['top', '--once', `${port}`]),
      1,
      'is no admin endpoint',
      'does not speak HTTP',
    );
  });

  it.each([
    [
      'another path',
      { status: 404, body: '{}' },
      'is no admin endpoint of kecho-pool (HTTP 404 for /status.json)',
    ],
    [
      'no JSON',
      { status: 200, body: '<p>hello' },
      'is no admin endpoint of kecho-pool (it answers something else)',
    ],
    ['more than it reads', { status: 200, body: 'x'.repeat(16 * 2 ** 20 + 1) }, '(EMSGSIZE)'],
  ])('an answer with %s', async (_, { status, body }, why) => {
    const { port, client } = await clientOf((response) => response.writeHead(status).end(body));
    await expect(client.status()).rejects.toThrow(Unreachable);
    await expect(client.status()).rejects.toThrow(why);
    await expect(client.status()).rejects.toThrow(`127.0.0.1:${port}`);
  });

  it('a server that does not answer is given up after 3 s', async () => {
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    const spy = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => timeout(50)); // not to wait for so long
    onTestFinished(() => spy.mockRestore());
    const { port, client } = await clientOf(() => {});
    await expect(client.status()).rejects.toThrow(
      new Unreachable(`127.0.0.1:${port} does not answer within 3 s`),
    );
    expect(spy.mock.calls).toEqual([[3000]]);
  });

  it('--json says once that the server is gone, and goes on when it is back', async () => {
    const admin = await new FakeAdmin(() => fakeStatus(1, 1)).start();
    const child = runBin(['top', '--json', '--interval', '100ms', admin.address]);
    await until(() => child.stdout.includes('\n'), 'a line');
    await admin.stop();
    await until(() => child.stderr.includes('\n'), 'the word of the loss');
    await pause(300); // it tries again meanwhile
    const before = child.stdout.length;
    await admin.start();
    await until(() => child.stdout.length > before, 'lines again');
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe(
      `kecho-pool top: lost: cannot reach ${admin.address} (ECONNREFUSED); trying again\n`,
    );
  });

  it('--json ends without a word while it waits for an answer', async () => {
    let asked = 0;
    const { port } = await serve((response) => {
      if (asked++ === 0) response.end(JSON.stringify(fakeStatus(1, 1)));
    });
    const child = runBin(['top', '--json', '--interval', '100ms', `${port}`]);
    await until(() => asked === 2, 'the second look');
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stdout.trimEnd().split('\n')).toHaveLength(1);
    expect(child.stderr).toBe('');
  });

  it('wrong usage is one line and exit code 2', async () => {
    await expectComplaint(runBin(['top']), 2, 'no admin address', 'KECHO_POOL_ADMIN', '--help');
  });
});

describe.skipIf(!HAS_TMUX)('on a terminal (tmux)', () => {
  const command = (...args: string[]) => [process.execPath, BIN, 'top', ...args].join(' ');

  /** A shell with some text on its screen, in which top has begun to show figures. */
  async function startTop(columns: number, rows: number, admin: FakeAdmin, before = ''): Promise<Terminal> {
    const terminal = new Terminal(columns, rows);
    await terminal.prompt();
    terminal.type('echo text of before');
    await terminal.shows('\ntext of before');
    terminal.type(
      `clear; echo text of before; ${before}${command('--interval', '100ms', admin.address)}; echo "code=$?"`,
    );
    await terminal.shows('CPUitsv');
    return terminal;
  }

  /** The shell's screen as it was, and a shell that works. */
  async function expectRestored(terminal: Terminal, code: string): Promise<void> {
    await terminal.shows(`code=${code}`);
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
    expect(terminal.lines[0]).toBe('text of before');
    if (code === '0') expect(terminal.text).not.toMatch(STACK);
    expect(terminal.text).not.toContain('CPUitsv');
    terminal.type('echo "typed $((40 + 2))"'); // a terminal that is still raw would not take Enter
    await terminal.shows('\ntyped 42');
  }

  async function growing(workers: number, pools: number): Promise<FakeAdmin> {
    let status = fakeStatus(workers, pools);
    return new FakeAdmin(() => {
      status = aSecondLater(status);
      return status;
    }).start();
  }

  it('fits 80x24, 200x50 and 40x10, sorts, scrolls, explains, pauses, and gives the screen back', async () => {
    const admin = await growing(40, 4);
    const terminal = await startTop(80, 24, admin);
    await terminal.shows('echoes 12,345/s');
    expect(terminal.modes).toEqual({ alternate: true, cursor: false });
    const head = lineWith(terminal.lines, 'items/s v');
    expect(terminal.lines).toHaveLength(24);
    expect(terminal.lines[0]).toMatch(/^cmwq {2}127\.0\.0\.1:12345 {2}listening {2}up 1:02:\d\d {2}pid 4711/);
    expect(terminal.lines.at(-1)).toMatch(/^q quit {2}\? help {2}s sort: items\/s/);
    expect(lineWith(terminal.lines, ' 400 ')).toMatch(/^ {3}40 /); // worker 40 is first by items per second
    expect(head.length).toBe(79);

    terminal.key('s');
    await terminal.shows('echoes/s v');
    terminal.key('r');
    await terminal.shows('echoes/s ^');
    terminal.key('End');
    await terminal.shows('of 40');
    await terminal.until((text) => /workers \d+-40 of 40/.test(text), 'the last workers');

    terminal.resize(200, 50);
    await terminal.until((text) => /nr_running nr_active +pool/.test(text), 'CPU pools side by side');
    await terminal.until(
      () => terminal.lines.at(-1)?.includes(admin.address) === true,
      'the bar at the bottom',
    );
    expect(terminal.lines).toHaveLength(50);

    terminal.resize(40, 10);
    await terminal.until(
      () => terminal.lines.length === 10 && terminal.lines.at(-1)?.startsWith('q quit') === true,
      'ten rows',
    );
    await terminal.until(() => terminal.lines[0]?.startsWith('cmwq  127.0.0.1:12345') === true, 'the header');
    await terminal.until((text) => /^items .*\n.*\n +id /m.test(text), 'counters and workers'); // no room for more

    terminal.resize(80, 24);
    await terminal.until(() => terminal.lines.slice(0, 23).every((text) => text !== ''), 'all rows');
    terminal.key('?');
    await terminal.shows('cpu_intensive');
    terminal.key('?');
    await terminal.shows('CPUitsv');
    terminal.key('p');
    await terminal.shows('PAUSED');
    const requests = await untilSteady(() => admin.requests, 'the looks');
    terminal.key('h');
    await terminal.shows('cpu_intensive'); // keys are obeyed
    terminal.key('p');
    await until(() => admin.requests > requests + 2, 'further looks');
    terminal.key('q');
    await expectRestored(terminal, '0');
  });

  it('says when the server is gone, and goes on when it is back', async () => {
    const admin = await growing(3, 2);
    const terminal = await startTop(100, 24, admin);
    await admin.stop();
    await terminal.shows(`lost: cannot reach ${admin.address} (ECONNREFUSED); trying again`);
    expect(terminal.text).toContain('CPUitsv'); // the last figures stay
    expect(terminal.text).not.toMatch(STACK);
    await admin.start();
    await terminal.until((text) => !text.includes('lost:'), 'the end of the loss');
    terminal.key('C-c');
    await expectRestored(terminal, '0');
  });

  it.each([
    ['SIGTERM', '0'],
    ['SIGINT', '0'],
    ['SIGUSR2', '1'],
  ] as const)('gives the screen back on %s', async (signal, code) => {
    const admin = await growing(3, 2);
    const file = join(temporaryFolder(), 'pid');
    // SIGUSR2 stands for a defect: an error that nobody catches.
    const defect = 'process.on(`SIGUSR2`,()=>{throw`defect`})';
    const terminal = new Terminal(80, 24);
    await terminal.prompt();
    terminal.type(`D='data:text/javascript,${defect}'`);
    // The shell's process number is that of top, which takes its place.
    const top = `exec ${process.execPath} --import "$0" ${BIN} top ${admin.address}`;
    const start = `sh -c 'echo $$ >${file}; ${top}' "$D"`;
    terminal.type(`clear; echo text of before; ${start}; echo "code=$?"`);
    await terminal.shows('CPUitsv');
    process.kill(Number(readFileSync(file, 'utf8')), signal);
    await expectRestored(terminal, code);
    expect(terminal.text.includes('defect')).toBe(signal === 'SIGUSR2'); // it can be read
  });

  it('Ctrl-Z gives the terminal back to the shell until fg', async () => {
    const admin = await growing(3, 2);
    const terminal = new Terminal(80, 24);
    terminal.type(command('--interval', '100ms', admin.address));
    await terminal.shows('CPUitsv');
    terminal.key('C-z');
    await terminal.until((text) => /stopped/i.test(text), 'the word of the shell');
    await terminal.prompt();
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
    terminal.type('fg');
    await terminal.shows('CPUitsv');
    expect(terminal.modes).toEqual({ alternate: true, cursor: false });
    terminal.key('q');
    await terminal.prompt();
    terminal.type('echo "code=$?"');
    await terminal.shows('\ncode=0');
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
  });

  it('colours are left out with NO_COLOR, and are not the only sign', async () => {
    const admin = await growing(3, 2);
    const terminal = await startTop(80, 24, admin, 'NO_COLOR=1 ');
    expect(terminal.styled).not.toMatch(COLOURS);
    expect(terminal.text).toContain('onDuty');
    terminal.key('q');
    await terminal.shows('code=0');
    terminal.type(command('--interval', '100ms', admin.address));
    await terminal.shows('CPUitsv');
    expect(terminal.styled).toMatch(COLOURS);
  });

  it('shows a real server', async () => {
    const { child, port } = await startBin(['--admin', '0', '--strategy', 'cmwq', '--cpus', '1']);
    const { url } = await child.line('admin');
    const client = await connectTo(port);
    await client.echo('hello');
    const terminal = new Terminal(80, 24);
    await terminal.prompt();
    terminal.type(command('--interval', '200ms', String(url)));
    await terminal.shows(`cmwq  127.0.0.1:${port}  listening`);
    await terminal.shows('connections 1 active  0 queued  1 accepted');
    await terminal.until((text) => /^items +1 +0 +0 +0 +0 +0$/m.test(text), 'one item');
    child.signal('SIGKILL');
    await terminal.shows('lost: cannot reach');
    terminal.key('q');
    await terminal.prompt();
  });
});
