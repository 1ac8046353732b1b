/**
 * Goal: `kecho-pool top` handles its keys in a real terminal, survives resizing and the loss of the server, and always
 * restores the terminal.
 * Method: the program in a tmux terminal. It polls a fake admin endpoint with known figures, and once a real server.
 * Skipped without tmux.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { BIN, STACK, startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { aSecondLater, FakeAdmin, fakeStatus } from './support/fake-admin.ts';
import { temporaryFolder } from './support/folder.ts';
import { HAS_TMUX, lineWith, Terminal } from './support/terminal.ts';
import { until, untilSteady } from './support/wait.ts';

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const COLOURS = /\x1b\[[\d;]*[34][1-7]m/;

describe.skipIf(!HAS_TMUX)('on a terminal (tmux)', () => {
  const command = (...args: string[]) => [process.execPath, BIN, 'top', ...args].join(' ');

  /** A shell with some text on its screen, in which top already shows figures. */
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

  /** Expects the shell's screen to be restored, and the shell to work. */
  async function expectRestored(terminal: Terminal, code: string): Promise<void> {
    await terminal.shows(`code=${code}`);
    expect(terminal.modes).toEqual({ alternate: false, cursor: true });
    expect(terminal.lines[0]).toBe('text of before');
    if (code === '0') expect(terminal.text).not.toMatch(STACK);
    expect(terminal.text).not.toContain('CPUitsv');
    terminal.type('echo "typed $((40 + 2))"'); // in raw mode Enter would not work
    await terminal.shows('\ntyped 42');
  }

  async function growing(workers: number, pools: number): Promise<FakeAdmin> {
    let status = fakeStatus(workers, pools);
    return new FakeAdmin(() => {
      status = aSecondLater(status);
      return status;
    }).start();
  }

  it('fits 80x24, 200x50 and 40x10, sorts, scrolls, shows help, pauses, and restores the screen', async () => {
    const admin = await growing(40, 4);
    const terminal = await startTop(80, 24, admin);
    await terminal.shows('echoes 12,345/s');
    expect(terminal.modes).toEqual({ alternate: true, cursor: false });
    await terminal.shows(' 400 '); // a frame may be drawn in part
    const head = lineWith(terminal.lines, 'items/s v');
    expect(terminal.lines).toHaveLength(24);
    expect(terminal.lines[0]).toMatch(
      /^cmwq {2}127\.0\.0\.1:12345 {2}listening {2}up 1:\d\d:\d\d {2}pid 4711/,
    );
    expect(terminal.lines.at(-1)).toMatch(/^q quit {2}\? help {2}s sort: items\/s/);
    expect(lineWith(terminal.lines, ' 400 ')).toMatch(/^ {2}40 /); // worker 40 is first by items per second
    expect(head).toMatch(/sleeps in$/);

    terminal.key('s');
    await terminal.shows('echoes/s v');
    terminal.key('r');
    await terminal.shows('echoes/s ^');
    terminal.key('End');
    await terminal.shows('of 40');
    await terminal.until((text) => /workers \d+-40 of 40/.test(text), 'the last workers');

    terminal.resize(200, 50);
    await terminal.until(
      (text) => /nr_running nr_active +CPUtime +in\/out +pool/.test(text),
      'CPU pools side by side',
    );
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
    const requests = await untilSteady(() => admin.requests, 'the requests');
    terminal.key('h');
    await terminal.shows('cpu_intensive'); // keys work while paused
    terminal.key('p');
    await until(() => admin.requests > requests + 2, 'further requests');
    terminal.key('q');
    await expectRestored(terminal, '0');
  });

  it('reports a lost server, and continues when it returns', async () => {
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
    ['SIGHUP', '0'],
    ['SIGUSR2', '1'],
  ] as const)('restores the screen on %s', async (signal, code) => {
    const admin = await growing(3, 2);
    const file = join(temporaryFolder(), 'pid');
    // SIGUSR2 simulates a defect: an uncaught error.
    const defect = 'process.on(`SIGUSR2`,()=>{throw`defect`})';
    const terminal = new Terminal(80, 24);
    await terminal.prompt();
    terminal.type(`D='data:text/javascript,${defect}'`);
    // top replaces the shell by exec and so has its pid.
    const top = `exec ${process.execPath} --import "$0" ${BIN} top ${admin.address}`;
    const start = `sh -c 'echo $$ >${file}; ${top}' "$D"`;
    terminal.type(`clear; echo text of before; ${start}; echo "code=$?"`);
    await terminal.shows('CPUitsv');
    process.kill(Number(readFileSync(file, 'utf8')), signal);
    await expectRestored(terminal, code);
    expect(terminal.text.includes('defect')).toBe(signal === 'SIGUSR2'); // stays readable
  });

  it('returns the terminal to the shell on Ctrl-Z until fg', async () => {
    const admin = await growing(3, 2);
    const terminal = new Terminal(80, 24);
    terminal.type(command('--interval', '100ms', admin.address));
    await terminal.shows('CPUitsv');
    terminal.key('C-z');
    await terminal.until((text) => /stopped/i.test(text), 'the message of the shell');
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

  it('shows states without colours with NO_COLOR', async () => {
    const admin = await growing(3, 2);
    const terminal = await startTop(80, 24, admin, 'NO_COLOR=1 ');
    expect(terminal.styled).not.toMatch(COLOURS);
    expect(terminal.text).toContain('on duty');
    terminal.key('q');
    await terminal.shows('code=0');
    terminal.type(command('--interval', '100ms', admin.address));
    await terminal.shows('CPUitsv');
    await until(() => COLOURS.test(terminal.styled), 'colours');
  });

  it('shows a real server', async () => {
    // On a busy machine the item may take long; it must not count as CPU-intensive.
    const cmwq = ['--strategy', 'cmwq', '--cpus', '1', '--cpu-intensive-thresh', '60s'];
    const { child, port } = await startBin(['--admin', '0', ...cmwq]);
    const { url } = await child.line('admin');
    const client = await connectTo(port);
    await client.echo('hello');
    const terminal = new Terminal(80, 24);
    await terminal.prompt();
    terminal.type(command('--interval', '200ms', String(url)));
    await terminal.shows(`cmwq  127.0.0.1:${port}  listening`);
    await terminal.shows('connections 1 active  0 queued  1 accepted');
    await terminal.until((text) => /^items +1 +0 +0\.\d +0 +0 +0 +0$/m.test(text), 'one item');
    child.signal('SIGKILL');
    await terminal.shows('lost: cannot reach');
    terminal.key('q');
    await terminal.prompt();
  });
});
