/**
 * The table of workers: its columns and its sort order. Pure.
 */
import type { WorkerStatus } from '../schema/status.ts';
import { cpuSeconds, type Line, line, rate, type Style, span, time } from '../terminal/text.ts';
import type { Frame, WorkerRates } from './frame.ts';

interface Row {
  worker: WorkerStatus;
  rates: WorkerRates;
}

interface Column {
  title: string;
  width: number;
  align: 'left' | 'right';
  text: (row: Row) => string;
  /** Sort key. */
  key: (row: Row) => number | string;
  /** Whether the highest comes first by default. */
  descending: boolean;
}

const NONE = '-';
const orDash = (value: number | null) => (value === null ? NONE : String(value));
/** Sorts below every number. */
const orLowest = (value: number | null) => value ?? -1;

function sleepText({ sleepsIn, sleepsForMs }: WorkerStatus): string {
  if (sleepsIn === null) return NONE;
  return sleepsForMs === null ? sleepsIn : `${sleepsIn} ${time(sleepsForMs / 1000)}`;
}

const STATE_WORDS: Partial<Record<WorkerStatus['state'], string>> = {
  onDuty: 'on duty',
  cpuIntensive: 'CPU-intensive',
};

function stateText({ state }: WorkerStatus): string {
  return STATE_WORDS[state] ?? state;
}

function column(
  title: string,
  width: number,
  text: Column['text'],
  key: Column['key'],
  order: 'ascending' | 'descending',
  align: Column['align'] = 'right',
): Column {
  return { title, width, text, key, descending: order === 'descending', align };
}

/** 80 wide with one space between columns. A title and its sort mark fit the width. */
const COLUMNS: readonly Column[] = [
  column(
    'id',
    4,
    ({ worker }) => String(worker.id),
    ({ worker }) => worker.id,
    'ascending',
  ),
  column(
    'state',
    13,
    ({ worker }) => stateText(worker),
    ({ worker }) => worker.state,
    'ascending',
    'left',
  ),
  column(
    'pool',
    6,
    ({ worker }) => `${worker.holdsSlot ? '*' : ''}${orDash(worker.pool)}`,
    ({ worker }) => orLowest(worker.pool),
    'ascending',
  ),
  column(
    'conn',
    8,
    ({ worker }) => orDash(worker.connection),
    ({ worker }) => orLowest(worker.connection),
    'ascending',
  ),
  column(
    'items/s',
    9,
    ({ rates }) => rate(rates.items),
    ({ rates }) => rates.items,
    'descending',
  ),
  column(
    'echoes/s',
    10,
    ({ rates }) => rate(rates.echoes),
    ({ rates }) => rates.echoes,
    'descending',
  ),
  column(
    'CPUtime',
    9,
    ({ worker }) => (worker.cpuTimeMs === null ? NONE : cpuSeconds(worker.cpuTimeMs)),
    ({ worker }) => orLowest(worker.cpuTimeMs),
    'descending',
  ),
  column(
    'sleeps in',
    14, // the last one: a longer text only extends the line
    ({ worker }) => sleepText(worker),
    ({ worker }) => (worker.sleepsIn === null ? -1 : (worker.sleepsForMs ?? 0)),
    'descending',
    'left',
  ),
];

/** Sort column, and whether its default direction is reversed. */
export interface Order {
  column: number;
  reversed: boolean;
}

export const BY_ITEMS_PER_SECOND: Order = {
  column: COLUMNS.findIndex(({ title }) => title === 'items/s'),
  reversed: false,
};

export function nextColumn({ column }: Order): Order {
  return { column: (column + 1) % COLUMNS.length, reversed: false };
}

export function orderName({ column, reversed }: Order): string {
  return `${COLUMNS[column]?.title}${reversed ? ' reversed' : ''}`;
}

function isDescending({ column, reversed }: Order): boolean {
  return (COLUMNS[column]?.descending ?? false) !== reversed;
}

function compare(a: number | string, b: number | string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Ties are sorted by id in either direction, so that rows do not jump. */
function sorted(frame: Frame, order: Order): Row[] {
  const key = COLUMNS[order.column]?.key ?? (() => 0);
  const sign = isDescending(order) ? -1 : 1;
  const none = { items: 0, echoes: 0 };
  return frame.status.workers
    .map((worker) => ({ worker, rates: frame.workers.get(worker.id) ?? none }))
    .sort((a, b) => sign * compare(key(a), key(b)) || a.worker.id - b.worker.id);
}

function cell(text: string, { width, align }: Column): string {
  return align === 'left' ? text.padEnd(width) : text.padStart(width);
}

/** The titles; the sort column has a mark: v highest first, ^ lowest first. */
export function workersHead(order: Order): Line {
  const titles = COLUMNS.map((one, i) =>
    cell(i === order.column ? `${one.title} ${isDescending(order) ? 'v' : '^'}` : one.title, one),
  );
  return [span(titles.join(' '), 'bold')];
}

const STYLES: Partial<Record<WorkerStatus['state'], Style>> = {
  idle: 'dim',
  onDuty: 'good',
  blocked: 'warn',
  cpuIntensive: 'bad',
  rescuer: 'bad',
};

export function workerLines(frame: Frame, order: Order): Line[] {
  return sorted(frame, order).map((row) => {
    const text = COLUMNS.map((one) => cell(one.text(row), one)).join(' ');
    return line(span(text, STYLES[row.worker.state] ?? 'plain'));
  });
}
