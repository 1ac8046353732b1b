/**
 * Goal: the log never stops, blocks or ends the server; what was asked for and cannot be printed is one line and an
 * exit code.
 * Method: the program with a standard output that is full, broken, closed or not read (a FIFO whose other end the
 * test holds), which must echo all the same. test/log-sink.test.ts has the sink alone.
 */
import { describe, expect, it } from 'vitest';
import { BIN, Child, type LogLine, runBin } from './support/child.ts';
import { Client } from './support/client.ts';
import { freePort } from './support/listening.ts';
import { complaint, Fifo } from './support/log-output.ts';
import { hasCommand } from './support/process.ts';
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
  await until(answers, `a server on port ${port}`, 20_000);
}

/** So many connections, each with an echo. At debug level that is two lines each. */
function echoes(port: number, count: number): Promise<void> {
  return inParallel(count, 20, async (i) => {
    const client = await new Client(port).connected();
    await client.echo(`echo ${i}`);
    await client.quit();
  });
}

async function stopsInOrder(child: Child, stderr: string): Promise<void> {
  child.signal('SIGTERM');
  expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  expect(child.stderr).toBe(stderr);
}

describe('the program goes on echoing', () => {
  it.each(['--no-pretty', '--pretty'])('%s: on a full disk (ENOSPC)', async (form) => {
    const port = freePort();
    const child = runRedirected('> /dev/full', ['--port', String(port), '--log-level', 'debug', form]);
    await untilAccepting(port);
    await echoes(port, 100);
    await stopsInOrder(child, complaint('ENOSPC'));
  });

  it('with a reader that went away: a pipe (EPIPE)', async () => {
    const fifo = new Fifo();
    const child = runRedirected(`> ${fifo.path}`, ['--port', '0', '--no-pretty', '--log-level', 'debug']);
    await until(() => fifo.read().includes('"listening"'), 'the line "listening"', 20_000);
    const port = Number(fifo.lines()[0]?.port);
    fifo.close();
    await echoes(port, 300);
    await stopsInOrder(child, complaint('EPIPE'));
  });

  it('with a reader that went away: a socket, pretty (EPIPE)', async () => {
    const child = runBin(['--port', '0', '--pretty', '--log-level', 'debug']);
    await until(() => /"port":\d+/.test(child.stdout), 'the line "listening"', 20_000);
    const port = Number(/"port":(\d+)/.exec(child.stdout)?.[1]);
    child.process.stdout?.destroy();
    await echoes(port, 300);
    await stopsInOrder(child, complaint('EPIPE'));
  });

  it('with standard output closed at the start', async () => {
    const port = freePort();
    const child = runRedirected('>&-', ['--port', String(port), '--log-level', 'debug']);
    await untilAccepting(port);
    await echoes(port, 20);
    await stopsInOrder(child, ''); // Node has put /dev/null in its place
  });

  it('with standard error broken as well', async () => {
    const port = freePort();
    const child = runRedirected('> /dev/full 2> /dev/full', ['--port', String(port)]);
    await untilAccepting(port);
    await echoes(port, 20);
    await stopsInOrder(child, '');
  });

  it('with a reader that has stopped; when it reads on, it learns how many lines are missing', async () => {
    const count = 1200; // some 300 KiB of log, twice what pipe and sink keep
    const fifo = new Fifo();
    const child = runRedirected(`> ${fifo.path}`, ['--port', '0', '--no-pretty', '--log-level', 'debug']);
    await until(() => fifo.read().includes('"listening"'), 'the line "listening"', 20_000);
    const port = Number(fifo.lines()[0]?.port);
    await echoes(port, count);
    const told = () => fifo.lines().some(({ msg }) => msg === 'log lines were lost');
    await until(told, 'a line that tells of the loss');
    await echoes(port, 10);
    await stopsInOrder(child, complaint('reader stalled'));
    const lines = fifo.lines();
    const at = lines.findIndex(({ msg }) => msg === 'log lines were lost');
    const about = (msg: string, from: LogLine[]) => from.filter((line) => line.msg === msg);
    const lost = Number(lines[at]?.lost);
    expect(lines[at]?.level).toBe(40);
    expect(lost).toBeGreaterThan(count / 2);
    expect(about('log lines were lost', lines)).toHaveLength(1);
    const received = about('connection', lines).length + about('closed', lines).length;
    expect(received + lost).toBe(2 * (count + 10));
    expect(about('connection', lines.slice(at))).toHaveLength(10);
    expect(lines.at(-1)?.msg).toBe('stopped');
  });

  it.skipIf(!hasCommand('script'))('on a terminal that has stopped', async () => {
    // script(1) copies from a terminal of its own to the FIFO, and stops when that is full.
    const fifo = new Fifo();
    const program = `exec ${process.execPath} ${BIN} --port 0 --no-pretty --log-level debug`;
    const child = new Child('sh', ['-c', `exec script -qefc "${program}" /dev/null > ${fifo.path}`]);
    await until(() => fifo.read().includes('"listening"'), 'the line "listening"', 20_000);
    const port = Number(fifo.lines()[0]?.port);
    await echoes(port, 1200);
    const told = () => fifo.read().includes('log lines were lost');
    await until(told, 'a line that tells of the loss');
    await echoes(port, 10);
    process.kill(Number(fifo.lines()[0]?.pid), 'SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });
});

describe('what was asked for cannot be printed', () => {
  it('on a full disk: one line, exit 1', async () => {
    const children = ['--help', '--print-config'].map((flag) => runRedirected('> /dev/full', [flag]));
    for (const child of children) {
      expect(await child.untilEnded()).toEqual({ code: 1, signal: null });
      expect(child.stderr).toBe('kecho-pool: cannot write to standard output (ENOSPC)\n');
    }
  });

  it('for a reader that wants no more: nothing, exit 1', async () => {
    const child = runBin(['--help']);
    child.process.stdout?.destroy();
    expect(await child.untilEnded()).toEqual({ code: 1, signal: null });
    expect(child.stderr).toBe('');
  });

  it('wrong usage with standard error broken: the exit code alone', async () => {
    const child = runRedirected('2> /dev/full', ['--nonsense']);
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
  });
});
