/**
 * Goal: the view of `kecho-pool top` fits any terminal size, sorts workers in any order, and handles the keys and the
 * command line.
 * Method: pure functions, without terminal, process or server; test/top.test.ts and test/top-terminal.test.ts use
 * those.
 */
import { describe, expect, it } from 'vitest';
import { command } from '../src/cli/commands/top.ts';
import type { ServerStatus, WorkerStatus } from '../src/schema/status.ts';
import { type Line, paint, plainText } from '../src/terminal/text.ts';
import { header } from '../src/top/figures.ts';
import { frameOf } from '../src/top/frame.ts';
import { helpLines } from '../src/top/help.ts';
import { afterKey } from '../src/top/live.ts';
import type { TopOptions } from '../src/top/top-options.ts';
import { plainView, type Situation, type ViewState, viewOf } from '../src/top/view.ts';
import {
  BY_ITEMS_PER_SECOND,
  nextColumn,
  type Order,
  workerLines,
  workersHead,
} from '../src/top/workers-table.ts';
import { aSecondLater, fakeStatus, histogram } from './support/fake-admin.ts';
import { parsed } from './support/parsed.ts';
import { lineWith } from './support/terminal.ts';

const STATE: ViewState = { order: BY_ITEMS_PER_SECOND, scroll: 0, paused: false, help: false };
const WELL: Situation = { addressText: '127.0.0.1:9090', intervalMs: 1000, lost: null };

function texts(lines: readonly Line[]): string[] {
  return lines.map(plainText);
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const STYLES = /\x1b\[[\d;]*m/g;

/** The line's text at this width. */
function shown(line: Line, width: number): string {
  return paint(line, width, false).replaceAll(STYLES, '');
}

/** End column of a word in a line. */
function endOf(line: string, word: string): number {
  expect(line).toContain(word);
  return line.indexOf(word) + word.length;
}

describe('layout', () => {
  const before = fakeStatus(300, 64);
  const frame = frameOf(aSecondLater(before), before);

  it.each([
    [80, 24],
    [200, 50],
    [40, 10],
    [300, 100],
    [10, 3],
    [1, 1],
  ])('fills %i columns and %i rows and no more', (columns, rows) => {
    for (const state of [
      STATE,
      { ...STATE, help: true },
      { ...STATE, scroll: 299 },
      { ...STATE, paused: true },
    ]) {
      for (const situation of [WELL, { ...WELL, lost: 'cannot reach 127.0.0.1:9090 (ECONNREFUSED)' }]) {
        const { lines } = viewOf(frame, state, { columns, rows }, situation);
        expect(lines).toHaveLength(rows);
        for (const line of lines) expect(shown(line, columns).length).toBeLessThanOrEqual(columns);
      }
    }
    expect(viewOf(null, STATE, { columns, rows }, WELL).lines).toHaveLength(rows);
  });

  it('shows PAUSED in the last line even if the server is lost', () => {
    const lost = { ...WELL, lost: 'cannot reach 127.0.0.1:9090 (ECONNREFUSED)' };
    const last = (state: ViewState) =>
      texts(viewOf(frame, state, { columns: 80, rows: 24 }, lost).lines).at(-1);
    expect(last(STATE)).toMatch(/^lost: cannot reach .*; trying again/);
    expect(last({ ...STATE, paused: true })).toMatch(/^PAUSED, p resume/);
  });

  it('cuts no line of figures at 80 columns', () => {
    const { lines } = viewOf(frame, STATE, { columns: 80, rows: 24 }, WELL);
    for (const text of texts(lines)) expect(text.length).toBeLessThanOrEqual(80);
  });

  it('cuts nothing of the help at 80x24', () => {
    const size = { columns: 80, rows: 24 };
    const { lines } = viewOf(frame, { ...STATE, help: true }, size, WELL);
    expect(texts(lines).slice(0, -1)).toEqual(expect.arrayContaining(texts(helpLines())));
    for (const text of texts(lines)) expect(text.length).toBeLessThanOrEqual(80);
  });

  it('aligns titles and figures on the right', () => {
    const lines = texts(viewOf(frame, STATE, { columns: 80, rows: 24 }, WELL).lines);
    const at = lines.findIndex((line) => line.includes('CPUitsv'));
    const [titles = '', totals = '', rates = ''] = lines.slice(at, at + 3);
    expect(endOf(titles, 'total')).toBe(endOf(totals, '1,235,566'));
    expect(endOf(titles, 'infl')).toBe(endOf(totals, ' 12'));
    expect(endOf(titles, 'CPUtime')).toBe(endOf(totals, ' 640.0')); // 64 CPU pools
    expect(endOf(titles, 'CPUitsv')).toBe(endOf(totals, ' 17'));
    expect(endOf(titles, 'CMW/RPR')).toBe(endOf(totals, ' 46'));
    expect(endOf(titles, 'noticed')).toBe(endOf(totals, ' 1.2M')); // 1,234,573 is wider
    expect(endOf(titles, 'noticed')).toBe(endOf(rates, ' 6.0'));
    expect(endOf(titles, 'mayday')).toBe(endOf(totals, ' 2'));
    expect(endOf(titles, 'rescued')).toBe(endOf(totals, ' 3'));
    expect(endOf(titles, 'CMW/RPR')).toBe(endOf(rates, '4.0'));
    const head = lineWith(lines, 'echoes/s  ');
    const first = lines[lines.indexOf(head) + 1] as string;
    expect(endOf(head, ' id')).toBe(endOf(first, ' 300'));
    expect(endOf(head, 'items/s v')).toBe(endOf(first, ' 3,000'));
    expect(endOf(head, 'CPUtime')).toBe(endOf(first, ' 4.7'));
  });

  it('shows dashes and no CPU pools for other strategies than cmwq', () => {
    const status = fakeStatus(2, 0);
    const text = plainView(frameOf({ ...status, stats: { ...status.stats, strategy: 'workqueue' } }, null));
    expect(text).toMatch(/^items +1,234,567 +12 +- +- +- +- +- +-$/m);
    expect(text).not.toContain('nr_running');
  });

  it('shows the address and state of the server in the first line', () => {
    const status = fakeStatus(1, 1);
    const first = (address: typeof status.address, state: string) => {
      const stats = { ...status.stats, state: state as typeof status.stats.state };
      return header(frameOf({ ...status, address, stats }, null), 80)[0] ?? [];
    };
    const styleOf = (line: Line, text: string) => line.find((part) => part.text === text)?.style;
    const lost = first(null, 'listening');
    expect(plainText(lost)).toMatch(/^cmwq {2}no address {2}listening {2}/);
    expect(styleOf(lost, 'listening')).toBe('good');
    const v6 = first({ address: '::1', port: 12345 }, 'starting');
    expect(plainText(v6)).toMatch(/^cmwq {2}\[::1\]:12345 {2}starting {2}/);
    expect(styleOf(v6, 'starting')).toBe('plain');
  });

  it('names the handler as in the option, of a long path the end, and says what the last hung item was in', () => {
    const status = fakeStatus(1, 1);
    const fourth = (handler: string | null, hung: number, detail: Record<string, string | number> | null) => {
      const items = { ...status.stats.items, hung };
      const events = detail === null ? [] : [{ seq: 1, atMs: 5, kind: 'hang', detail }];
      const frame = frameOf({ ...status, handler, events, stats: { ...status.stats, items } }, null);
      return header(frame, 80).map(plainText)[3];
    };
    expect(fourth(null, 0, null)).toBe(undefined);
    expect(fourth('/home/work.ts#query', 0, null)).toBe('handler /home/work.ts#query');
    const long = fourth(`/${'x'.repeat(100)}/work.ts#query`, 0, null);
    expect(long).toMatch(/^handler \.\.\.x+\/work\.ts#query$/);
    expect(long).toHaveLength(80);
    expect(fourth('/w.ts', 1234, { worker: 5, in: 'futex' })).toBe(
      '1,234 hung, the last: worker 5 in futex  handler /w.ts',
    );
    expect(fourth(null, 1, { worker: 5, in: 'running' })).toBe('1 hung, the last: worker 5 running');
    expect(fourth(null, 1, { worker: 5 })).toBe('1 hung, the last: worker 5');
    expect(fourth(null, 1, null)).toBe('1 hung');
  });

  it('shows latencies beyond the last bucket as above its bound, and a free slot as free', () => {
    const status = fakeStatus(1, 1);
    const beyond = histogram([...new Array<number>(25).fill(0), 1], 20);
    const counts = { connections: 7, nrRunning: 0, nrActive: 0, movedIn: 12, movedOut: 3 };
    const cpuPools = [{ ...counts, slot: 'free' as const, cpuTimeMs: 1234 }];
    const text = plainView(
      frameOf(
        {
          ...status,
          latency: { dispatch: beyond, echo: histogram([]) },
          stats: { ...status.stats, cpuPools },
          worklists: [{ waiting: 4, longestMs: 1500 }],
        },
        null,
      ),
    );
    expect(text).toMatch(/^dispatch +20\.0 s( +>16\.8 s){3} +1$/m);
    expect(text).toMatch(/^echo( +-){4} +0$/m);
    expect(text).toMatch(/^ +0 +free +7 +4\/1\.50 s +0 +0 +1\.2 +12\/3$/m);
  });

  it('scrolls to the last worker, and shows the position', () => {
    const size = { columns: 80, rows: 24 };
    const { page } = viewOf(frame, STATE, size, WELL);
    const { lines, scroll } = viewOf(frame, { ...STATE, scroll: 1e9 }, size, WELL);
    expect(scroll).toBe(300 - page);
    expect(texts(lines).at(-1)).toContain(`workers ${300 - page + 1}-300 of 300`);
    expect(texts(lines).at(-2)).toMatch(/^ +1 /); // the fewest items per second
  });

  it('sanitizes control characters in a status', () => {
    const status = { ...fakeStatus(1, 1), version: '1\x1b[2J\r\n\x9b5m\u202e' };
    const { lines } = viewOf(frameOf(status, null), STATE, { columns: 200, rows: 24 }, WELL);
    for (const line of lines) expect(shown(line, 200)).toMatch(/^[\x20-\x7e]*$/);
  });
});

describe('workers', () => {
  // [id, state, pool, holdsSlot, connection; items and echoes in the last second; cpuTimeMs, sleepsIn, sleepsForMs]
  const ROWS = [
    [1, 'onDuty', 1, true, 20, 30, 1, 1_234_560, null, null],
    [2, 'idle', null, false, null, 10, 3, 70, null, null],
    [3, 'blocked', 0, false, 10, 20, 2, null, 'clock_nanosleep', 3210],
    [4, 'idle', null, false, null, 10, 3, 70, null, null],
    [5, 'finishing', 0, false, 11, 5, 0, 60, 'fsync', 12],
    [6, 'onDuty', 2, false, 12, 0, 0, 50, 'read', null], // found asleep just now
  ] as const;
  const at = (since: 0 | 1) => {
    const status = fakeStatus(0, 0);
    const workers = ROWS.map(
      ([id, state, pool, holdsSlot, connection, items, echoes, cpuTimeMs, sleepsIn, sleepsForMs]) => ({
        ...{ id, tid: null, state, pool, holdsSlot, connection, cpuTimeMs, sleepsIn, sleepsForMs },
        started: since * items,
        echoes: since * echoes,
      }),
    );
    return { ...status, uptimeMs: status.uptimeMs + since * 1000, workers };
  };
  const frame = frameOf(at(1), at(0));
  const ids = (order: Order) =>
    workerLines(frame, order).map((row) => Number(plainText(row).trim().split(/ +/)[0]));

  it.each([
    ['id ^', [1, 2, 3, 4, 5, 6], [6, 5, 4, 3, 2, 1]],
    ['state ^', [3, 5, 2, 4, 1, 6], [1, 6, 2, 4, 5, 3]],
    ['pool ^', [2, 4, 3, 5, 1, 6], [6, 1, 3, 5, 2, 4]],
    ['conn ^', [2, 4, 3, 5, 6, 1], [1, 6, 5, 3, 2, 4]],
    ['items/s v', [1, 3, 2, 4, 5, 6], [6, 5, 2, 4, 3, 1]],
    ['echoes/s v', [2, 4, 3, 1, 5, 6], [5, 6, 1, 3, 2, 4]],
    ['CPUtime v', [1, 2, 4, 5, 6, 3], [3, 6, 5, 2, 4, 1]],
    ['sleeps in v', [3, 5, 6, 1, 2, 4], [1, 2, 4, 6, 5, 3]],
  ])('are sorted by %s and reversed; ties by id', (title, expected, reversed) => {
    let order: Order = { column: 0, reversed: false };
    while (!` ${plainText(workersHead(order))}`.includes(` ${title}`)) order = nextColumn(order);
    expect(ids(order)).toEqual(expected);
    expect(ids({ ...order, reversed: true })).toEqual(reversed);
  });

  it('show the slot’s holder, their CPU time, and what they sleep in for how long; dashes where a figure is null', () => {
    const [running, , nanosleep, idle, fsync, read] = workerLines(frame, { column: 0, reversed: false }).map(
      plainText,
    );
    expect(running).toMatch(/ \*1 .* 1,234\.6 -$/);
    expect(nanosleep).toMatch(/ 0 .* - clock_nanosleep 3\.21 s$/);
    expect(idle).toMatch(/ 0\.1 -$/);
    expect(fsync).toMatch(/ 0\.1 fsync 12 ms$/);
    expect(read).toMatch(/ 0\.1 read$/);
    expect(fsync?.indexOf('fsync')).toBe(plainText(workersHead(BY_ITEMS_PER_SECOND)).indexOf('sleeps in'));
  });

  it('are styled by state', () => {
    const styles = (state: ServerStatus['workers'][number]['state']) => {
      const worker = { ...(fakeStatus(1, 0).workers[0] as WorkerStatus), state }; // one worker
      const [row = []] = workerLines(
        frameOf({ ...fakeStatus(0, 0), workers: [worker] }, null),
        BY_ITEMS_PER_SECOND,
      );
      return row.map(({ style }) => style);
    };
    expect(styles('idle')).toEqual(['dim']);
    expect(styles('blocked')).toEqual(['warn']);
    expect(styles('cpuIntensive')).toEqual(['bad']);
    expect(styles('starting')).toEqual(['plain']);
  });
});

describe('keys', () => {
  it('scroll, sort, reverse, pause, help', () => {
    const press = (state: ViewState, ...keys: string[]) =>
      keys.reduce((s, key) => afterKey(s, key, 10), state);
    expect(press(STATE, 'down', 'down', 'up').scroll).toBe(1);
    expect(press(STATE, 'pagedown').scroll).toBe(10);
    expect(press(STATE, 'pagedown', 'pagedown', 'home').scroll).toBe(0);
    expect(press(STATE, 'up').scroll).toBe(0);
    expect(press(STATE, 's').order).not.toEqual(STATE.order);
    expect(press(STATE, ...'ssssssss').order).toEqual(STATE.order); // eight columns
    expect(press(STATE, 'r').order.reversed).toBe(true);
    expect(press(STATE, 'p').paused).toBe(true);
    expect(press(STATE, '?').help).toBe(true);
    expect(press(STATE, 'h', 'escape').help).toBe(false);
    expect(press(STATE, 'x')).toBe(STATE);
  });
});

describe('command line', () => {
  const topOptions = (args: readonly string[], environment: NodeJS.ProcessEnv) =>
    parsed<TopOptions>((run) => command(run, environment), args);

  it.each([
    [[], 'no admin address', 'KECHO_POOL_ADMIN'],
    [['nonsense:x'], 'admin address: "nonsense:x"', '127.0.0.1:9090'],
    [['0'], 'admin address: "0"', 'the port'],
    [['--interval', '99ms', '9090'], '--interval: "99ms"', '100ms'],
    [['--interval', 'soon', '9090'], '--interval: "soon"', '100ms'],
    [['--colour', '9090'], "'--colour'"],
    [['9090', '9091'], 'too many arguments', '9091'],
    [['--json', '9090', '9091'], '"9091"', 'only one address'],
    [['--json', '-', '9090', '9091'], 'too many arguments'],
  ])('%j is refused, with what is allowed', (args, ...parts) => {
    for (const part of parts) expect(() => topOptions(args, {})).toThrow(part);
  });

  it('accepts addresses as --admin does, and the URL in the log', () => {
    const address = (text: string) => {
      const options = topOptions([text], {});
      return [options.address, options.addressText];
    };
    const tcp = (host: string) => ({ kind: 'tcp', host, port: 9090 });
    expect(address('9090')).toEqual([tcp('127.0.0.1'), '127.0.0.1:9090']);
    expect(address('[::1]:9090')).toEqual([tcp('::1'), '[::1]:9090']);
    expect(address('http://127.0.0.1:9090/')).toEqual([tcp('127.0.0.1'), '127.0.0.1:9090']);
    expect(address('unix:x.sock')).toEqual([{ kind: 'unix', path: 'x.sock' }, 'x.sock']);
    for (const args of [
      ['--json', '9090'],
      ['9090', '--json'],
      ['--json', '-', '9090'],
    ]) {
      expect(topOptions(args, {})).toMatchObject({ address: tcp('127.0.0.1'), json: true });
    }
    expect(topOptions([], { KECHO_POOL_ADMIN: '9090' })).toMatchObject({ address: tcp('127.0.0.1') });
    expect(topOptions(['/a'], { KECHO_POOL_ADMIN: '9090' })).toMatchObject({ addressText: '/a' });
  });
});
