/**
 * Lays a frame out as lines: for a terminal of a given size, or as plain text. Pure.
 *
 * The header, the bottom bar and some workers are shown at any size; with more rows come the counters, then the CPU
 * pools, then the latencies; the workers get the remaining rows.
 */
import type { Size } from '../terminal/screen.ts';
import { filled, fitting, type Line, line, plainText, span, time } from '../terminal/text.ts';
import { counters, cpuPools, header, latencies } from './figures.ts';
import type { Frame } from './frame.ts';
import { helpLines } from './help.ts';
import { BY_ITEMS_PER_SECOND, type Order, orderName, workerLines, workersHead } from './workers-table.ts';

/** Set by the keys. */
export interface ViewState {
  order: Order;
  /** Workers above the first one shown. */
  scroll: number;
  paused: boolean;
  help: boolean;
}

export interface View {
  lines: Line[];
  /** Workers on one page. */
  page: number;
  /** The state's scroll, limited to the number of workers. */
  scroll: number;
}

/** What the bottom bar shows besides the keys. */
export interface Situation {
  addressText: string;
  intervalMs: number;
  /** Why there is no newer frame; null while the server answers. */
  lost: string | null;
}

/** The title and two workers. */
const MIN_WORKER_ROWS = 3;
/** From this height on, empty lines separate the sections. */
const ROOMY_ROWS = 30;

interface Section {
  lines: Line[];
  /** Without room for all, the lowest is omitted first. */
  importance: number;
}

/** The sections that fit into `rows`, in order, separated by `gap` empty lines. */
function fittingSections(sections: readonly Section[], rows: number, gap: number): Line[] {
  const fits = new Set<Section>();
  let left = rows;
  for (const section of [...sections].sort((a, b) => b.importance - a.importance)) {
    const needed = section.lines.length + gap;
    if (section.lines.length === 0 || needed > left) continue;
    left -= needed;
    fits.add(section);
  }
  return sections
    .filter((section) => fits.has(section))
    .flatMap(({ lines }) => (gap === 0 ? lines : [...lines, line('')]));
}

export function viewOf(frame: Frame | null, state: ViewState, size: Size, situation: Situation): View {
  const body = Math.max(0, size.rows - 1);
  const top = frame === null || state.help ? [] : figuresFor(frame, size, body);
  const page = Math.max(0, body - top.length - 1);
  const total = frame?.status.workers.length ?? 0;
  const scroll = Math.max(0, Math.min(state.scroll, total - page));
  const shown = { from: total === 0 ? 0 : scroll + 1, to: Math.min(total, scroll + page), total };
  const lines = state.help
    ? helpLines()
    : frame === null
      ? [line('waiting for the first figures')]
      : [...top, workersHead(state.order), ...workerLines(frame, state.order).slice(scroll, scroll + page)];
  const cut = lines.slice(0, body);
  while (cut.length < body) cut.push(line(''));
  return { lines: [...cut, bar(state, situation, size.columns, shown)], page, scroll };
}

function figuresFor(frame: Frame, { columns, rows }: Size, body: number): Line[] {
  const gap = rows >= ROOMY_ROWS ? 1 : 0;
  const pools = cpuPools(frame, columns, Math.max(2, Math.floor(rows / 4)));
  const head = header(frame, columns).slice(0, Math.max(1, body - MIN_WORKER_ROWS));
  const room = body - head.length - gap - MIN_WORKER_ROWS;
  const sections = [
    { lines: counters(frame), importance: 3 },
    { lines: latencies(frame), importance: 1 },
    { lines: pools, importance: 2 },
  ];
  return [...head, ...(gap === 1 ? [line('')] : []), ...fittingSections(sections, room, gap)];
}

function bar(
  { order, paused, help }: ViewState,
  { addressText, intervalMs, lost }: Situation,
  width: number,
  shown: { from: number; to: number; total: number },
): Line {
  if (lost !== null && !paused) return filled(`lost: ${lost}; trying again`, width, 'alarm');
  const parts = [
    ...(paused ? ['PAUSED, p resume'] : []),
    'q quit',
    help ? '? back' : '? help',
    `s sort: ${orderName(order)}`,
    ...(paused ? [] : ['p pause']),
    `workers ${shown.from}-${shown.to} of ${shown.total}`,
    `every ${time(intervalMs / 1000)}`,
    addressText,
  ];
  const text = fitting(
    parts.map((part) => span(part, 'plain')),
    width,
  );
  return filled(plainText(text), width, 'bar');
}

const PLAIN_COLUMNS = 80;

/** Plain text with every CPU pool and every worker. */
export function plainView(frame: Frame): string {
  const pools = cpuPools(frame, PLAIN_COLUMNS, Number.POSITIVE_INFINITY);
  const lines = [
    ...header(frame, Number.POSITIVE_INFINITY),
    line(''),
    ...counters(frame),
    line(''),
    ...latencies(frame),
    line(''),
    ...(pools.length > 0 ? [...pools, line('')] : []),
    workersHead(BY_ITEMS_PER_SECOND),
    ...workerLines(frame, BY_ITEMS_PER_SECOND),
  ];
  return lines.map((one) => `${plainText(one)}\n`).join('');
}
