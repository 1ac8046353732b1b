/**
 * The response times of a point as a chart of text: how many were in each of a few ranges. Pure.
 *
 * The ranges have equal ratios, so that a chart shows both the bulk and a tail a hundred times as long.
 */
import type { Times } from '../times.ts';
import { ms } from './values.ts';

const ROWS = 12;
/** A narrower range than that is within the error of a measurement. */
const RATIO_MIN = 1.05;
const BAR = 40;

interface Row {
  fromMs: number;
  toMs: number;
  count: number;
}

function rowsOf(filled: readonly { ms: number; count: number }[]): Row[] {
  const [first] = filled;
  const last = filled.at(-1);
  if (first === undefined || last === undefined) return [];
  const ratio = Math.max(RATIO_MIN, (last.ms / first.ms) ** (1 / ROWS));
  const rows: Row[] = [];
  let next = 0;
  for (let fromMs = first.ms; next < filled.length; fromMs *= ratio) {
    const row: Row = { fromMs, toMs: fromMs * ratio, count: 0 };
    // The last row takes what rounding leaves, so no sample is lost.
    const isLast = rows.length === ROWS - 1;
    for (let one = filled[next]; one !== undefined && (isLast || one.ms < row.toMs); one = filled[++next])
      row.count += one.count;
    rows.push(row);
  }
  return rows;
}

function bar(count: number, most: number): string {
  return '#'.repeat(Math.ceil((count / most) * BAR)).padEnd(BAR);
}

/** One line for each range, after a blank one; nothing without samples. Times without an answer have a line of their own. */
export function latencyChart(times: Times): string[] {
  const rows = rowsOf([...times.answered()]);
  const all = rows.reduce((sum, { count }) => sum + count, 0) + times.censored;
  const most = Math.max(times.censored, ...rows.map(({ count }) => count));
  const range = ({ fromMs, toMs }: Row) => `${ms(fromMs).padStart(7)} - ${ms(toMs).padStart(7)}`;
  const ranges = [
    ...rows.map((row) => ({ text: range(row), count: row.count })),
    ...(times.censored > 0 ? [{ text: 'no answer', count: times.censored }] : []),
  ];
  const lines = ranges.map(({ text, count }) => {
    const share = `${((100 * count) / all).toFixed(1)} %`;
    return `${text.padStart(17)}  ${bar(count, most)}  ${share.padStart(7)}  ${count.toLocaleString('en-US')}`;
  });
  return lines.length === 0 ? [] : ['', ...lines];
}
