/**
 * Goal: the sink of the log never blocks. Lines are written whole and in order or not at all; lost lines are counted
 * where they are missing, and each kind of error is reported once on standard error.
 * Method: the sink over an output that fails on demand, in hand-written and random sequences.
 */
import fc from 'fast-check';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { LogSink, PENDING_BYTES, standardOutput } from '../src/log/sink.ts';
import { E } from '../src/sys/libc.ts';
import { PIPE_BUF } from '../src/sys/output.ts';
import { Child } from './support/child.ts';
import { errorMessage, FakeOutput } from './support/log-output.ts';

describe('the sink', () => {
  let output: FakeOutput;
  let errorOutput: FakeOutput;
  let sink: LogSink;
  const put = (line: string) => sink.write(`${line}\n`, (lost) => put(`lost ${lost}`));
  const retry = () => vi.advanceTimersToNextTimer();

  function fresh(): void {
    output = new FakeOutput();
    errorOutput = new FakeOutput();
    sink = new LogSink(output, errorOutput);
  }

  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    fresh();
  });

  it('has written a line when the call returns, and keeps nothing', () => {
    put('one');
    expect(output.text).toBe('one\n');
    put('two');
    expect(output.text).toBe('one\ntwo\n');
    expect(sink.isRetrying).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('writes long lines in pieces that a pipe accepts, polling before each', () => {
    put('x'.repeat(2 * PIPE_BUF));
    expect(output.writes).toEqual([PIPE_BUF, PIPE_BUF, 1]);
    expect(output.polls).toBe(3);
    output.text = '';
    put('y'.repeat(PENDING_BYTES)); // more than it could keep
    expect(output.text.length).toBe(PENDING_BYTES + 1);
  });

  it('keeps the rest of a partly written line', () => {
    output.room = 5;
    put('abcdefgh');
    put('next');
    expect(output.text).toBe('abcde');
    expect(sink.isRetrying).toBe(true);
    output.room = 2;
    retry();
    expect(output.text).toBe('abcdefg');
    output.room = Number.POSITIVE_INFINITY;
    retry();
    expect(output.text).toBe('abcdefgh\nnext\n');
    expect(sink.isRetrying).toBe(false);
    expect(vi.getTimerCount()).toBe(0);
    expect(errorOutput.text).toBe(''); // nothing was lost
  });

  it('also retries with the next line, before the timer', () => {
    output.room = 0;
    put('one');
    output.room = Number.POSITIVE_INFINITY;
    put('two');
    expect(output.text).toBe('one\ntwo\n');
    expect(sink.isRetrying).toBe(false);
  });

  it('treats EAGAIN as no room, whatever poll returned', () => {
    output.error = E.EAGAIN;
    put('one');
    expect([output.writes.length, errorOutput.text, sink.isRetrying]).toEqual([1, '', true]);
    output.error = 0;
    retry();
    expect(output.text).toBe('one\n');
  });

  it('attempts no write that would block', () => {
    output.pollsWritable = false;
    put('one');
    retry();
    expect(output.writes).toEqual([]);
  });

  it('keeps PENDING_BYTES, and counts later lines until the kept ones are written', () => {
    for (let i = 0; i < 100; i++) put('x'.repeat(1000)); // written lines do not count
    output.text = '';
    output.room = 0;
    const kept = PENDING_BYTES / 64;
    for (let i = 0; i < kept + 7; i++) put(String(i).padStart(63));
    expect(errorOutput.text).toBe(errorMessage('reader stalled'));
    output.room = 10 * 64; // not enough for all kept lines
    put('too early');
    expect(output.text.split('\n').length - 1).toBe(10);
    output.room = Number.POSITIVE_INFINITY;
    put('after');
    const lines = output.text.trimEnd().split('\n');
    expect(lines.slice(-2)).toEqual(['lost 8', 'after']);
    expect(lines.slice(0, -2).map(Number)).toEqual(Array.from({ length: kept }, (_, i) => i));
    expect(errorOutput.text).toBe(errorMessage('reader stalled'));
  });

  it('retries after a transient error by the timer, reports it once and continues where it stopped', () => {
    output.room = 3;
    put('abcdef');
    output.error = E.ENOSPC;
    put('one');
    const attempts = output.writes.length;
    for (let i = 0; i < 100; i++) put('two');
    expect(output.writes.length).toBe(attempts);
    retry();
    expect(output.writes.length).toBe(attempts + 1);
    expect(errorOutput.text).toBe(errorMessage('ENOSPC'));
    output.error = 0;
    output.room = Number.POSITIVE_INFINITY;
    retry();
    expect(output.text).toBe(`abcdef\none\n${'two\n'.repeat(100)}`);
    output.error = E.ENOSPC;
    put('again');
    output.error = E.EIO;
    retry();
    expect(errorOutput.text).toBe(errorMessage('ENOSPC') + errorMessage('EIO'));
  });

  it.each(['EPIPE', 'EBADF'] as const)('gives up for good after %s', (name) => {
    output.error = E[name];
    put('one');
    output.error = 0;
    for (let i = 0; i < 10; i++) put('two');
    expect([output.text, output.writes.length, output.polls]).toEqual(['', 1, 1]);
    expect([sink.isClosed, sink.isRetrying, vi.getTimerCount()]).toEqual([true, false, 0]);
    expect(errorOutput.text).toBe(errorMessage(name));
  });

  it('drops the kept lines and its timer when the reader exits', () => {
    output.room = 0;
    put('one');
    expect(vi.getTimerCount()).toBe(1);
    output.error = E.EPIPE;
    retry();
    expect([sink.isClosed, sink.isRetrying, vi.getTimerCount()]).toEqual([true, false, 0]);
  });

  it('reports an error once standard error has room, and not at all when that is broken', () => {
    output.error = E.ENOSPC;
    errorOutput.room = 0;
    put('one');
    expect(errorOutput.writes).toEqual([]);
    errorOutput.room = Number.POSITIVE_INFINITY;
    retry();
    expect(errorOutput.text).toBe(errorMessage('ENOSPC'));
    fresh();
    output.error = E.EPIPE;
    errorOutput.error = E.EPIPE;
    put('one');
    expect([errorOutput.text, errorOutput.writes.length]).toEqual(['', 1]);
  });

  it('retries kept lines once more when the process exits', () => {
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
      import { LogSink } from '${new URL('../src/log/sink.ts', import.meta.url)}';
      const sink = new LogSink(${full}, ${full});
      sink.write('one', () => {});
      console.log(sink.isRetrying);`;
    const child = new Child(process.execPath, ['--input-type=module', '-e', script]);
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stdout).toBe('true\n');
  });

  it('reports every lost line, for any sequence of failures', () => {
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
        for (const action of steps) {
          if ('line' in action) put(String(sent++).padEnd(action.line, '.'));
          else if ('room' in action) output.room = action.room;
          else if ('error' in action) output.error = action.error;
          else if (sink.isRetrying) retry();
        }
        output.room = Number.POSITIVE_INFINITY;
        output.error = 0;
        if (sink.isRetrying) retry();
        put(String(sent++));
        expect(accountedFor(output.text)).toBe(sent);
      }),
      { seed: 20, numRuns: 300 },
    );
  });

  /** Lines written plus lines reported as lost; fails when they are torn, out of order or reported elsewhere. */
  function accountedFor(text: string): number {
    let next = 0;
    for (const line of text.slice(0, -1).split('\n')) {
      const loss = /^lost (\d+)$/.exec(line);
      if (loss !== null) next += Number(loss[1]);
      else expect(line).toMatch(new RegExp(`^${next++}\\.*$`));
    }
    return next;
  }

  it('is shared by the process', () => {
    expect(standardOutput()).toBe(standardOutput());
  });
});
