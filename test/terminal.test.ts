/**
 * Goal: the screen names every key, writes only what has changed, survives being stopped and continued, and restores
 * the terminal once; numbers are human-readable; an Ending reports the end.
 * Method: a screen on an output and an input that only record the calls. No terminal; test/top-terminal.test.ts and
 * test/demo.test.ts have one.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { Ending } from '../src/terminal/ending.ts';
import { Screen } from '../src/terminal/screen.ts';
import { line, time, uptime } from '../src/terminal/text.ts';
import { temporaryFolder } from './support/folder.ts';
import { until, within } from './support/wait.ts';

const ALTERNATE_ON = '\x1b[?1049h';
const ALTERNATE_OFF = '\x1b[?1049l';

/** A screen on a terminal that records calls. `given` is what was written directly to its descriptor. */
function fakeTerminal(columns = 20, rows = 3) {
  const file = join(temporaryFolder(), 'given');
  const fd = openSync(file, 'w');
  onTestFinished(() => closeSync(fd));
  const seen = { writes: [] as string[], raw: [] as boolean[], keys: [] as string[], redrawn: 0 };
  const output = { fd, columns, rows, write: (text: string) => seen.writes.push(text) };
  const keyboard = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (on: boolean) => seen.raw.push(on),
  });
  const screen = new Screen(
    output as unknown as typeof process.stdout,
    keyboard as unknown as typeof process.stdin,
    true,
    { onKey: (key) => seen.keys.push(key), onResize: () => seen.redrawn++ },
  );
  screen.enter();
  onTestFinished(() => screen.leave());
  const draw = (...texts: string[]) => screen.draw(texts.map((text) => line(text)));
  return { screen, draw, keyboard, seen, given: () => readFileSync(file, 'utf8') };
}

describe('keys', () => {
  it('are passed on by name; unknown ones are ignored', async () => {
    const { keyboard, seen } = fakeTerminal();
    for (const bytes of ['\x01', 'é', '\x1b[A', 'a', 'S', ' ', '\x1b[6~', '?', '\x03']) keyboard.write(bytes);
    await until(() => seen.keys.includes('quit'), 'Ctrl-C');
    expect(seen.keys).toEqual(['up', 'a', 'S', 'space', 'pagedown', '?', 'quit']);
  });

  it('Ctrl-L redraws everything', async () => {
    const { keyboard, seen } = fakeTerminal();
    keyboard.write('\x0c');
    await until(() => seen.redrawn === 1, 'the redraw');
    expect(seen.keys).toEqual([]);
  });

  it('Ctrl-Z restores the terminal, stops the whole job, and takes the terminal again afterwards', async () => {
    // Nothing is stopped, and SIGCONT comes at once: before the screen takes the terminal again by itself.
    const kill = vi.spyOn(process, 'kill').mockImplementation(() => {
      process.emit('SIGCONT');
      return true;
    });
    onTestFinished(() => kill.mockRestore());
    const { keyboard, seen, given } = fakeTerminal();
    keyboard.write('\x1a');
    await until(() => kill.mock.calls.length > 0, 'the signal');
    expect(kill.mock.calls).toEqual([[0, 'SIGTSTP']]);
    expect(given()).toContain(ALTERNATE_OFF);
    await until(() => seen.redrawn === 1, 'the redraw');
    expect(seen.raw).toEqual([true, false, true]);
    expect(seen.writes.filter((text) => text.includes(ALTERNATE_ON))).toHaveLength(2);
  });
});

describe('after Ctrl-Z the screen', () => {
  /** A screen whose Ctrl-Z stops nothing, with fake timers. */
  function suspended(typed = '\x1a') {
    vi.useFakeTimers();
    const kill = vi.spyOn(process, 'kill').mockReturnValue(true);
    onTestFinished(() => {
      kill.mockRestore();
      vi.useRealTimers();
    });
    const terminal = fakeTerminal();
    terminal.keyboard.emit('keypress', undefined, { ctrl: true, name: 'z' });
    if (typed.length > 1) terminal.keyboard.emit('keypress', undefined, { ctrl: true, name: 'z' });
    const entered = () => terminal.seen.writes.filter((text) => text.includes(ALTERNATE_ON)).length - 1;
    return { ...terminal, kill, entered };
  }

  it('takes the terminal again once when nothing was stopped', () => {
    const { seen, entered } = suspended();
    vi.runAllTimers();
    expect([entered(), seen.redrawn]).toEqual([1, 1]);
    expect(seen.raw).toEqual([true, false, true]);
  });

  it('takes the terminal again once when SIGCONT comes before or after the timer', () => {
    const { seen, entered } = suspended();
    process.emit('SIGCONT');
    vi.runAllTimers();
    expect([entered(), seen.redrawn]).toEqual([1, 1]);
    const later = suspended();
    vi.advanceTimersToNextTimer(); // SUSPEND_MS
    process.emit('SIGCONT');
    vi.runAllTimers();
    expect([later.entered(), later.seen.redrawn]).toEqual([1, 1]);
  });

  it('stops the job once when Ctrl-Z is typed twice', () => {
    const { kill, entered } = suspended('\x1a\x1a');
    vi.runAllTimers();
    expect(kill.mock.calls).toEqual([[0, 'SIGTSTP']]);
    expect(entered()).toBe(1);
  });

  it('takes the terminal again once when the job is continued twice, by bg and fg', () => {
    const { seen, entered } = suspended();
    process.emit('SIGCONT');
    process.emit('SIGCONT');
    vi.runAllTimers();
    expect([entered(), seen.redrawn]).toEqual([1, 1]);
  });

  it.each([false, true])('does not take the terminal again after leave() (continued: %j)', (continued) => {
    const { screen, seen, given, entered } = suspended();
    if (continued) process.emit('SIGCONT');
    screen.leave();
    vi.runAllTimers();
    expect([entered(), seen.redrawn]).toEqual([0, 0]);
    expect(seen.raw.at(-1)).toBe(false);
    expect(given().split(ALTERNATE_OFF)).toHaveLength(2); // by Ctrl-Z alone
  });
});

describe('the screen', () => {
  it('takes the terminal again when another process stopped and continued it', async () => {
    const { screen, seen } = fakeTerminal();
    seen.writes.length = 0;
    process.emit('SIGCONT');
    await until(() => seen.redrawn === 1, 'the redraw');
    expect(seen.writes.join('')).toContain(ALTERNATE_ON);
    expect(seen.raw).toEqual([true, true]);
    screen.leave();
    expect(process.emit('SIGCONT')).toBe(false); // no listener is left
  });

  it('restores the terminal once, and does not draw afterwards', () => {
    const { screen, seen, given } = fakeTerminal();
    screen.leave();
    const once = given();
    expect(once).toContain(ALTERNATE_OFF);
    seen.writes.length = 0;
    screen.leave();
    screen.draw([line('late')]);
    expect(given()).toBe(once);
    expect(seen.writes).toEqual([]);
    expect(seen.raw).toEqual([true, false]);
  });

  it('assumes 80 columns and 24 rows when the size is unknown', () => {
    expect(fakeTerminal(0, 0).screen.size).toEqual({ columns: 80, rows: 24 });
    expect(fakeTerminal(132, 43).screen.size).toEqual({ columns: 132, rows: 43 });
  });

  it('writes a frame as one write of the changed rows, or none', () => {
    const { draw, seen } = fakeTerminal();
    const { writes } = seen;
    writes.length = 0; // the switch to the alternate buffer
    draw('one', 'two', 'three');
    expect(writes).toHaveLength(1);
    expect(writes[0]).toMatch(/one.*two.*three/);
    draw('one', 'two', 'three');
    expect(writes).toHaveLength(1);
    draw('one', '2', 'three');
    expect(writes).toHaveLength(2);
    expect(writes[1]).toContain('[2;1H2');
    expect(writes[1]).not.toMatch(/one|three/);
    draw('one');
    expect(writes[2]).toContain('[2;1H\x1b[K');
    expect(writes[2]).not.toMatch(/one|three/);
  });

  it('redraws everything after a change of size that is undone at once', () => {
    const { draw, seen } = fakeTerminal();
    const { writes } = seen;
    draw('one', 'two', 'three');
    process.emit('SIGWINCH');
    writes.length = 0;
    draw('one', 'two', 'three');
    expect(writes[0]).toMatch(/one.*two.*three/);
  });
});

describe('text', () => {
  it.each([
    [0, '0 us'],
    [16e-6, '16 us'],
    [1.02e-3, '1.02 ms'],
    [0.25, '250 ms'],
    [2.1, '2.10 s'],
    [99.9, '99.9 s'],
    [1e-4, '100 us'],
    [1.2e-4, '120 us'],
    [0.0009996, '1 ms'],
    [0.9996, '1.00 s'],
    [250, '250 s'],
    [3600.4, '3600 s'],
  ])('%d seconds are %s', (seconds, text) => {
    expect(time(seconds)).toBe(text);
  });

  it.each([
    [0, '0:00:00'],
    [3_723_999, '1:02:03'],
    [86_399_999, '23:59:59'],
    [86_400_000, '1d 0:00:00'],
    [90_061_000, '1d 1:01:01'],
    [30 * 86_400_000, '30d 0:00:00'],
  ])('up for %d ms is %s', (ms, text) => {
    expect(uptime(ms)).toBe(text);
  });
});

describe('Ending', () => {
  it('ends a pause, and prevents later ones', async () => {
    const ending = new Ending();
    onTestFinished(() => ending.close());
    const pause = ending.pause(3_600_000);
    ending.end();
    await within(pause, 'the end of the pause');
    await within(ending.pause(3_600_000), 'the pause after the end');
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('ends by %s, until it is closed', async (signal) => {
    const before = process.listeners(signal);
    const ending = new Ending();
    onTestFinished(() => ending.close());
    expect(ending.isOver).toBe(false);
    process.emit(signal);
    await within(ending.ended, signal);
    expect(ending.isOver).toBe(true);
    ending.close();
    expect(process.listeners(signal)).toEqual(before);
  });
});
