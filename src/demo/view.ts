/**
 * The demo's output, for the whole terminal or as plain lines. Pure.
 */
import { STRATEGIES, type StrategyName } from '../options/types.ts';
import { printable } from '../options/values.ts';
import { filled, type Line, line, plainText, rate, span, time, uptime } from '../terminal/text.ts';
import { ANSWERS_PER_VISIT, BETWEEN_ANSWERS_MS, BETWEEN_VISITS_MS } from './crowd.ts';
import { type StrategyFigures, WINDOW_MS } from './figures.ts';
import { CPUS, WORKERS } from './stage.ts';

export interface DemoState {
  url: string;
  port: number;
  strategy: StrategyName;
  /** Module of the operator's handler; null if handlers are the demo's own. */
  handlerName: string | null;
  /** The last figures of each strategy that has run. */
  figures: ReadonlyMap<StrategyName, StrategyFigures>;
  clients: number;
  loadOn: boolean;
  /** A passing message beside the strategy; null = none. */
  notice: string | null;
  leftMs: number;
}

/** The address for `kecho-pool top`. */
function topAddress(url: string): string {
  return url.replace(/^http:\/\/(.*)\/$/, '$1');
}

/** Addresses, and what the clients do. */
export function introduction({
  url,
  port,
  handlerName,
}: Pick<DemoState, 'url' | 'port' | 'handlerName'>): string[] {
  const where = url.startsWith('unix:') ? `${url} (curl --unix-socket)` : url;
  return [
    `dashboard    ${where}`,
    `in a shell   npx kecho-pool top ${topAddress(url)}`,
    `echo server  127.0.0.1:${port}`,
    '',
    `Each client connects, sends ${ANSWERS_PER_VISIT} requests ${BETWEEN_ANSWERS_MS} ms apart, closes, and returns`,
    ...(handlerName === null
      ? [
          `after ${BETWEEN_VISITS_MS / 1000} s. The handlers of three connections in four sleep for 100 ms, those of`,
          'the fourth compute for 20 ms.',
        ]
      : [`after ${BETWEEN_VISITS_MS / 1000} s. The handler is ${printable(handlerName)}.`]),
  ];
}

const WATCH_FOR: Record<StrategyName, readonly string[]> = {
  kthread: [
    'A thread per connection: no request waits behind a sleeping handler, but each',
    'connection pays for creating a thread (about 20 ms), and CPU time rises.',
  ],
  workqueue: [
    `${WORKERS} workers; a connection keeps its worker until it closes, even while its`,
    'handler sleeps. The others wait in the queue while the processors are idle:',
    'the queue grows to most of the clients, and response times to seconds.',
  ],
  cmwq: [
    `${CPUS} CPU pools. When an item sleeps (CMW/RPR) or computes too long (CPUitsv),`,
    'another worker takes the run slot, a hand-off, and serves the next request',
    'meanwhile. Few threads and no queue: a response takes as long as its handler.',
  ],
};

export function watchFor(strategy: StrategyName): readonly string[] {
  return WATCH_FOR[strategy];
}

const TITLES = [
  ...['strategy', 'clients', 'echoes/s', 'average', 'worst'],
  ...['open', 'waiting', 'in progress', 'threads'],
];
const WIDTHS = [13, 8, 9, 8, 8, 5, 8, 12, 8];

function row(cells: readonly string[]): string {
  return cells
    .map((text, i) => (i === 0 ? text.padEnd(WIDTHS[0] ?? 0) : text.padStart(WIDTHS[i] ?? 0)))
    .join('');
}

function ms(value: number | null): string {
  return value === null ? '-' : time(value / 1000);
}

export const TABLE_HEAD = row(TITLES);

export function tableRow(label: string, figures: StrategyFigures | undefined): string {
  if (figures === undefined) return row([label, ...TITLES.slice(1).map(() => '-')]);
  const { clients, echoesPerSecond, averageMs, worstMs, open, waiting, inProgress, threads } = figures;
  const numbers = [String(clients), rate(echoesPerSecond), ms(averageMs), ms(worstMs)];
  return row([label, ...numbers, ...[open, waiting, inProgress, threads].map(String)]);
}

function table({ figures, strategy }: DemoState): Line[] {
  const rows = STRATEGIES.map((name, i) => {
    const running = name === strategy;
    const text = tableRow(`${running ? '>' : ' '} ${i + 1} ${name}`, figures.get(name));
    return line(span(text, running ? 'bold' : 'plain'));
  });
  return [[span(row(['', ...TITLES.slice(1)]), 'bold')], ...rows];
}

/** Minimum height at which all the text fits. */
const ROOMY_ROWS = 21;

/** The whole terminal, with the keys on its last line; with few rows the explanations are omitted. */
export function screenLines(state: DemoState, columns: number, rows: number): Line[] {
  const { strategy, loadOn, notice, leftMs } = state;
  const intro = introduction(state).map((text) => line(text));
  const room = Math.max(0, rows - 1);
  const body = [
    ...(rows < ROOMY_ROWS ? intro.slice(0, 3) : intro),
    line(''),
    ...table(state),
    line(
      span(
        `times: last ${WINDOW_MS / 1000} s; open: connections; in progress: items; stopped: as last seen`,
        'dim',
      ),
    ),
    line(''),
    line(span(strategy, 'bold'), notice === null ? '' : span(`  ${notice}`, 'warn')),
    ...watchFor(strategy).map((text) => line(text)),
  ].slice(0, room);
  while (body.length < room) body.push(line(''));
  const load = loadOn ? 'space load off' : 'LOAD OFF, space on';
  const keys = `1 2 3 strategy  ${load}  + - clients  q quit  ends in ${uptime(leftMs)}`;
  return [...body, filled(keys, columns, 'bar')];
}

/** The table as text, printed at the end. */
export function summary(state: DemoState): string {
  return [row(['', ...TITLES.slice(1)]), ...table(state).slice(1).map(plainText)].join('\n');
}
