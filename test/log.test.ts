/**
 * Goal: the log never stops, blocks or ends the server. Lines come whole and in order or not at all; what is
 * lost is counted where it is missing, and the trouble is said once on standard error.
 * Method: the sink over an output that fails as ordered, by hand and by random sequences; then the program with
 * a standard output that is full, broken, closed or not read (a FIFO whose other end the test holds), which must
 * echo all the same.
 */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LogSink, PENDING_BYTES, standardOutput } from '../src/log-sink.ts';
import { E } from '../src/sys/libc.ts';
import { PIPE_BUF } from '../src/sys/output.ts';
import { BIN, Child, type LogLine, runBin } from './support/child.ts';
import { Client } from './support/client.ts';
import { hasCommand } from './support/process.ts';
import { inParallel, until } from './support/wait.ts';

const complaint = (why: string) => `kecho-pool: the log cannot be written (${why}); going on without it\n`;

/** An output with so much room, or with an error instead. */
class FakeOutput {
  room = Number.POSITIVE_INFINITY;
  /** Every write fails with this errno. */
  error = 0;
  /** What poll says, whatever the room. */
  pollsWritable: boolean | null = null;
  text = '';
  polls = 0;
  writes: number[] = [];

  isWritable(): boolean {
    this.polls++;
    return this.pollsWritable ?? (this.error > 0 || this.room > 0);
  }

  write(bytes: Uint8Array): number {
    this.writes.push(bytes.length);
    if (this.error > 0) return -this.error;
    const count = Math.min(this.room, bytes.length);
    if (count === 0) return -E.EAGAIN;
    this.room -= count;
    this.text += Buffer.from(bytes.subarray(0, count)).toString();
    return count;
  }
}

describe('the sink', () => {
  let output: FakeOutput;
  let complaints: FakeOutput;
  let sink: LogSink;
  const put = (line: string) => sink.write(`${line}\n`, (lost) => put(`lost ${lost}`));
  const retry = () => vi.advanceTimersToNextTimer();

  function fresh(): void {
    output = new FakeOutput();
    complaints = new FakeOutput();
    sink = new LogSink(output, complaints);
  }

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    fresh();
  });

  it('has written a line when the call returns, and keeps nothing then', () => {
    put('one');
    expect(output.text).toBe('one\n');
    put('two');
    expect(output.text).toBe('one\ntwo\n');
    expect(sink.isHeld).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('writes long lines in pieces that a pipe takes, asking before each', () => {
    put('x'.repeat(2 * PIPE_BUF));
    expect(output.writes).toEqual([PIPE_BUF, PIPE_BUF, 1]);
    expect(output.polls).toBe(3);
    output.text = '';
    put('y'.repeat(PENDING_BYTES)); // more than it would keep
    expect(output.text.length).toBe(PENDING_BYTES + 1);
  });

  it('keeps the rest of a line that was taken in part', () => {
    output.room = 5;
    put('abcdefgh');
    put('next');
    expect(output.text).toBe('abcde');
    expect(sink.isHeld).toBe(true);
    output.room = 2;
    retry();
    expect(output.text).toBe('abcdefg');
    output.room = Number.POSITIVE_INFINITY;
    retry();
    expect(output.text).toBe('abcdefgh\nnext\n');
    expect(sink.isHeld).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
    expect(complaints.text).toBe(''); // nothing was lost
  });

  it('goes on without the timer too, with the next line', () => {
    output.room = 0;
    put('one');
    output.room = Number.POSITIVE_INFINITY;
    put('two');
    expect(output.text).toBe('one\ntwo\n');
    expect(sink.isHeld).toBe(false);
  });

  it('takes EAGAIN for no room, whatever poll said', () => {
    output.error = E.EAGAIN;
    put('one');
    expect([output.writes.length, complaints.text, sink.isHeld]).toEqual([1, '', true]);
    output.error = 0;
    retry();
    expect(output.text).toBe('one\n');
  });

  it('does not try a write that would block', () => {
    output.pollsWritable = false;
    put('one');
    retry();
    expect(output.writes).toEqual([]);
  });

  it('keeps so much and counts the rest, until what is kept is out', () => {
    for (let i = 0; i < 100; i++) put('x'.repeat(1000)); // what is out no longer counts
    output.text = '';
    output.room = 0;
    const kept = PENDING_BYTES / 64;
    for (let i = 0; i < kept + 7; i++) put(String(i).padStart(63));
    expect(complaints.text).toBe(complaint('nobody reads it'));
    output.room = 10 * 64; // some: not enough for all that is kept
    put('too early');
    expect(output.text.split('\n').length - 1).toBe(10);
    output.room = Number.POSITIVE_INFINITY;
    put('after');
    const lines = output.text.trimEnd().split('\n');
    expect(lines.slice(-2)).toEqual(['lost 8', 'after']);
    expect(lines.slice(0, -2).map(Number)).toEqual(Array.from({ length: kept }, (_, i) => i));
    expect(complaints.text).toBe(complaint('nobody reads it'));
  });

  it('leaves an error that may pass to the timer, says it once and goes on where it stopped', () => {
    output.room = 3;
    put('abcdef');
    output.error = E.ENOSPC;
    put('one');
    const tries = output.writes.length;
    for (let i = 0; i < 100; i++) put('two');
    expect(output.writes.length).toBe(tries);
    retry();
    expect(output.writes.length).toBe(tries + 1);
    expect(complaints.text).toBe(complaint('ENOSPC'));
    output.error = 0;
    output.room = Number.POSITIVE_INFINITY;
    retry();
    expect(output.text).toBe(`abcdef\none\n${'two\n'.repeat(100)}`);
    output.error = E.ENOSPC;
    put('again');
    output.error = E.EIO;
    retry();
    expect(complaints.text).toBe(complaint('ENOSPC') + complaint('EIO'));
  });

  it.each(['EPIPE', 'EBADF'] as const)('gives up for good after %s', (name) => {
    output.error = E[name];
    put('one');
    output.error = 0;
    for (let i = 0; i < 10; i++) put('two');
    expect([output.text, output.writes.length, output.polls]).toEqual(['', 1, 1]);
    expect([sink.isClosed, sink.isHeld, vi.getTimerCount()]).toEqual([true, false, 0]);
    expect(complaints.text).toBe(complaint(name));
  });

  it('gives up what it had kept, and its timer, when the reader goes away', () => {
    output.room = 0;
    put('one');
    expect(vi.getTimerCount()).toBe(1);
    output.error = E.EPIPE;
    retry();
    expect([sink.isClosed, sink.isHeld, vi.getTimerCount()]).toEqual([true, false, 0]);
  });

  it('complains when standard error has room, and not at all when it is broken', () => {
    output.error = E.ENOSPC;
    complaints.room = 0;
    put('one');
    expect(complaints.writes).toEqual([]);
    complaints.room = Number.POSITIVE_INFINITY;
    retry();
    expect(complaints.text).toBe(complaint('ENOSPC'));
    fresh();
    output.error = E.EPIPE;
    complaints.error = E.EPIPE;
    put('one');
    expect([complaints.text, complaints.writes.length]).toEqual(['', 1]);
  });

  it('tries what is kept once more when the process exits', () => {
    const before = process.listeners('exit');
    output.room = 0;
    put('one');
    const added = process.listeners('exit').filter((listener) => !before.includes(listener));
    expect(added).toHaveLength(1);
    output.room = Number.POSITIVE_INFINITY;
    added[0]?.(0);
    expect(output.text).toBe('one\n');
    expect(process.listeners('exit')).toEqual(before);
  });

  it('keeps no process alive', async () => {
    vi.useRealTimers();
    const full = '{ isWritable: () => false, write: () => 0 }';
    const script = `
      import { LogSink } from '${new URL('../src/log-sink.ts', import.meta.url)}';
      const sink = new LogSink(${full}, ${full});
      sink.write('one', () => {});
      console.log(sink.isHeld);`;
    const child = new Child(process.execPath, ['--input-type=module', '-e', script]);
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stdout).toBe('true\n');
  });

  it('loses nothing that it does not report, in whatever order things fail', () => {
    const step = fc.oneof(
      { weight: 6, arbitrary: fc.record({ line: fc.integer({ min: 8, max: 12_000 }) }) },
      { weight: 3, arbitrary: fc.record({ room: fc.integer({ min: 0, max: 20_000 }) }) },
      { weight: 1, arbitrary: fc.record({ error: fc.constantFrom(0, E.ENOSPC, E.EIO, E.EAGAIN) }) },
      { weight: 1, arbitrary: fc.constant({ retry: true as const }) },
    );
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 80, size: 'max' }), (steps) => {
        fresh();
        let sent = 0;
        for (const one of steps) {
          if ('line' in one) put(String(sent++).padEnd(one.line, '.'));
          else if ('room' in one) output.room = one.room;
          else if ('error' in one) output.error = one.error;
          else if (sink.isHeld) retry();
        }
        output.room = Number.POSITIVE_INFINITY;
        output.error = 0;
        if (sink.isHeld) retry();
        put(String(sent++));
        expect(accountedFor(output.text)).toBe(sent);
      }),
      { seed: 20, numRuns: 300 },
    );
  });

  /** Lines out plus lines reported as lost; fails when they are torn, out of order or counted elsewhere. */
  function accountedFor(text: string): number {
    let next = 0;
    for (const line of text.slice(0, -1).split('\n')) {
      const loss = /^lost (\d+)$/.exec(line);
      if (loss !== null) next += Number(loss[1]);
      else expect(line).toMatch(new RegExp(`^${next++}\\.*$`));
    }
    return next;
  }

  it('is one for the process', () => {
    expect(standardOutput()).toBe(standardOutput());
  });
});

/** The reading end of a FIFO; reads nothing until told. */
class Fifo {
  readonly path: string;
  private fd: number;
  text = '';

  constructor() {
    const folder = mkdtempSync(join(tmpdir(), 'kecho-log-'));
    this.path = join(folder, 'log');
    execFileSync('mkfifo', [this.path]);
    this.fd = openSync(this.path, constants.O_RDONLY | constants.O_NONBLOCK);
    onTestFinished(() => {
      this.close();
      rmSync(folder, { recursive: true });
    });
  }

  /** Reads what there is. */
  read(): string {
    const buffer = Buffer.alloc(65536);
    try {
      for (let n = 1; n > 0; ) {
        n = readSync(this.fd, buffer);
        this.text += buffer.toString('latin1', 0, n);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
    return this.text;
  }

  /** The lines so far; throws when one is not whole JSON. */
  lines(): LogLine[] {
    return this.read()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as LogLine);
  }

  close(): void {
    if (this.fd >= 0) closeSync(this.fd);
    this.fd = -1;
  }
}

/** The program with a standard output that a shell opens: "> /dev/full". */
function runRedirected(redirection: string, args: readonly string[]): Child {
  const command = ['exec "$@"', redirection].join(' ');
  return new Child('sh', ['-c', command, 'sh', process.execPath, BIN, ...args]);
}

/** A port that was free a moment ago, for a server that cannot say which it got. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
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
    const port = await freePort();
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
    const port = await freePort();
    const child = runRedirected('>&-', ['--port', String(port), '--log-level', 'debug']);
    await untilAccepting(port);
    await echoes(port, 20);
    await stopsInOrder(child, ''); // Node has put /dev/null in its place
  });

  it('with standard error broken as well', async () => {
    const port = await freePort();
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
    await stopsInOrder(child, complaint('nobody reads it'));
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
