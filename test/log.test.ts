/**
 * Goal: the log never blocks or ends the server; requested output that cannot be printed costs one line and an exit
 * code.
 * Method: the program with a standard output that is full, broken, closed or not read (a FIFO whose other end the
 * test holds), which must still echo. test/log-sink.test.ts tests the sink alone.
 */
import { describe, expect, it } from 'vitest';
import { freePort } from '../bench/free-port.ts';
import { BIN, Child, type LogLine, runBin } from './support/child.ts';
import { Client } from './support/client.ts';
import { errorMessage, Fifo } from './support/log-output.ts';
import { hasCommand } from './support/process.ts';
import { HAS_TMUX, Terminal } from './support/terminal.ts';
import { inParallel, until } from './support/wait.ts';

/** The program with a standard output that a shell opens: "> /dev/full". */
function runRedirected(redirection: string, args: readonly string[]): Child {
  const command = ['exec "$@"', redirection].join(' ');
  return new Child('sh', ['-c', command, 'sh', process.execPath, BIN, ...args]);
}

async function untilAccepting(port: number): Promise<void> {
  const answers = () =>
    new Client(port).connected().then(
      (client) => {
        client.socket.destroy();
        return true;
      },
      () => false,
    );
  await until(answers, `a server on port ${port}`);
}

/** `count` connections with an echo each, which is two log lines each at level debug. */
function echoes(port: number, count: number): Promise<void> {
  return inParallel(count, 20, async (i) => {
    const client = await new Client(port).connected();
    await client.echo(`echo ${i}`);
    await client.quit();
  });
}

async function expectCleanStop(child: Child, stderr: string): Promise<void> {
  child.signal('SIGTERM');
  expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  expect(child.stderr).toBe(stderr);
}

describe('the program continues echoing', () => {
  it.each(['--no-pretty', '--pretty'])('%s: on a full disk (ENOSPC)', async (form) => {
    const port = freePort();
    const child = runRedirected('> /dev/full', ['--port', String(port), '--log-level', 'debug', form]);
    await untilAccepting(port);
    await echoes(port, 100);
    await expectCleanStop(child, errorMessage('ENOSPC'));
  });

  it('with a reader that exited: a pipe (EPIPE)', async () => {
    const fifo = new Fifo();
    const child = runRedirected(`> ${fifo.path}`, ['--port', '0', '--no-pretty', '--log-level', 'debug']);
    await until(() => fifo.read().includes('"listening"'), 'the line "listening"');
    const port = Number(fifo.lines()[0]?.port);
    fifo.close();
    await echoes(port, 300);
    await expectCleanStop(child, errorMessage('EPIPE'));
  });

  it('with a reader that exited: a socket, pretty (EPIPE)', async () => {
    const child = runBin(['--port', '0', '--pretty', '--log-level', 'debug']);
    await until(() => /"port":\d+/.test(child.stdout), 'the line "listening"');
    const port = Number(/"port":(\d+)/.exec(child.stdout)?.[1]);
    child.process.stdout?.destroy();
    await echoes(port, 300);
    await expectCleanStop(child, errorMessage('EPIPE'));
  });

  it('with standard output closed at the start', async () => {
    const port = freePort();
    const child = runRedirected('>&-', ['--port', String(port), '--log-level', 'debug']);
    await untilAccepting(port);
    await echoes(port, 20);
    await expectCleanStop(child, ''); // Node has opened it on /dev/null
  });

  it('with standard error broken as well', async () => {
    const port = freePort();
    const child = runRedirected('> /dev/full 2> /dev/full', ['--port', String(port)]);
    await untilAccepting(port);
    await echoes(port, 20);
    await expectCleanStop(child, '');
  });

  it('with a stalled reader; when it continues, it reads how many lines are missing', async () => {
    const count = 1200; // some 300 KiB of log, twice the capacity of pipe and sink
    const fifo = new Fifo();
    const child = runRedirected(`> ${fifo.path}`, ['--port', '0', '--no-pretty', '--log-level', 'debug']);
    await until(() => fifo.read().includes('"listening"'), 'the line "listening"');
    const port = Number(fifo.lines()[0]?.port);
    await echoes(port, count);
    const isReported = () => fifo.lines().some(({ msg }) => msg === 'log lines were lost');
    await until(isReported, 'a line that reports the loss');
    await echoes(port, 10);
    await expectCleanStop(child, errorMessage('reader stalled'));
    const lines = fifo.lines();
    const at = lines.findIndex(({ msg }) => msg === 'log lines were lost');
    const linesOf = (msg: string, from: LogLine[]) => from.filter((line) => line.msg === msg);
    const lost = Number(lines[at]?.lost);
    expect(lines[at]?.level).toBe(40);
    expect(lost).toBeGreaterThan(count / 2);
    expect(linesOf('log lines were lost', lines)).toHaveLength(1);
    const received = linesOf('connection', lines).length + linesOf('closed', lines).length;
    expect(received + lost).toBe(2 * (count + 10));
    expect(linesOf('connection', lines.slice(at))).toHaveLength(10);
    expect(lines.at(-1)?.msg).toBe('stopped');
  });

  it.skipIf(!hasCommand('script'))('on a stopped terminal', async () => {
    // script(1) copies from its own terminal to the FIFO, and stalls when that is full.
    const fifo = new Fifo();
    const program = `exec ${process.execPath} ${BIN} --port 0 --no-pretty --log-level debug`;
    const child = new Child('sh', ['-c', `exec script -qefc "${program}" /dev/null > ${fifo.path}`]);
    await until(() => fifo.read().includes('"listening"'), 'the line "listening"');
    const port = Number(fifo.lines()[0]?.port);
    await echoes(port, 1200);
    const isReported = () => fifo.read().includes('log lines were lost');
    await until(isReported, 'a line that reports the loss');
    await echoes(port, 10);
    process.kill(Number(fifo.lines()[0]?.pid), 'SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });
});

function triesIn(text: string): number {
  return text.split('try: ').length - 1;
}

describe.skipIf(!HAS_TMUX)('the first steps (skipped without tmux)', () => {
  it('are named at a terminal, with the port; never in JSON lines', async () => {
    for (const [form, count] of [
      ['--pretty', 3],
      ['--no-pretty', 0],
    ] as const) {
      const terminal = new Terminal(200, 40); // another one: what the first shows is no answer for the second
      await terminal.prompt();
      terminal.type(`clear; ${process.execPath} ${BIN} --port 0 ${form}`);
      await terminal.until((text) => /"port":\d+/.test(text) && triesIn(text) >= count, 'the start');
      const port = /"port":(\d+)/.exec(terminal.text)?.[1];
      expect(terminal.text.includes(`try: telnet 127.0.0.1 ${port}\n`)).toBe(count > 0);
      terminal.key('C-c');
      await terminal.shows('stopped');
      expect(triesIn(terminal.text)).toBe(count);
    }
  });
});

describe('requested output that cannot be printed', () => {
  it('on a full disk costs one line and exit code 1', async () => {
    const children = ['--help', '--print-config'].map((flag) => runRedirected('> /dev/full', [flag]));
    for (const child of children) {
      expect(await child.untilEnded()).toEqual({ code: 1, signal: null });
      expect(child.stderr).toBe('kecho-pool: cannot write to standard output (ENOSPC)\n');
    }
  });

  it('to a reader that exited costs exit code 1 alone', async () => {
    const child = runBin(['--help']);
    child.process.stdout?.destroy();
    expect(await child.untilEnded()).toEqual({ code: 1, signal: null });
    expect(child.stderr).toBe('');
  });

  it('on a broken standard error costs the exit code of wrong usage alone', async () => {
    const child = runRedirected('2> /dev/full', ['--nonsense']);
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
  });
});
