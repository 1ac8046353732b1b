/**
 * The picture of `kecho-pool sim --svg`: processors at work on machines of 8 to 64 processors. Pure.
 */
import { type Curve, lineChart } from './line-chart.ts';
import { marksFor } from './marks.ts';
import { label } from './markup.ts';
import { CHART_STYLE } from './style.ts';

/** Processors of a machine, and how many are at work on average. */
export interface MachineRow {
  cpus: number;
  /** With connections that move between CPU pools, and without. */
  moving: number;
  staying: number;
}

const CURVES: Record<string, (row: MachineRow) => number> = {
  'all of them': ({ cpus }) => cpus,
  cmwq: ({ moving }) => moving,
  'cmwq, no moves': ({ staying }) => staying,
};

/** The condition, and what the labels mean: as a slide, the picture has no text beside it. */
const NOTES = [
  'At first all requests come to one CPU pool, which has one processor.',
  'cmwq moves connections to pools that have less to do; "no moves": without that.',
];
const NOTE_LINE = 16;
const NOTES_HEIGHT = (NOTES.length + 1) * NOTE_LINE;
const MARGIN = 14;

/** The name of the vertical axis, and the notes below the chart. */
function notes(height: number): string {
  const name = { class: 'tick', 'text-anchor': 'middle', transform: 'rotate(-90)' };
  return [
    label(-height / 2, 8, 'processors at work', name),
    ...NOTES.map((text, i) => label(0, height + NOTE_LINE * (i + 1), text, { class: 'tick' })),
  ].join('');
}

/** A self-contained file. */
export function processorsChart(rows: readonly MachineRow[]): string {
  const labels = Object.keys(CURVES);
  const marks = marksFor(
    labels.map((name) => ({ label: name, kind: name === 'cmwq' ? 'strategy' : 'target', command: '' })),
  );
  const curves = [...marks].map(([name, mark]): Curve => {
    const points = rows.map((row) => {
      const median = CURVES[name]?.(row) ?? Number.NaN; // the marks have the labels of CURVES
      return { x: row.cpus, name: `${row.cpus} processors`, median, interval: null, hasErrors: false };
    });
    return { label: name, mark, points };
  });
  const options = {
    title: 'Processors at work: computed, not measured',
    axis: 'processors of the machine',
    unit: 'processors',
    wantsLog: true,
  };
  const chart = lineChart(curves, options);
  return chart.replace(/^(<svg[^>]*) viewBox="0 0 (\d+) (\d+)"([^>]*>)/, (_, open, width, height, rest) => {
    const box = [-MARGIN, -MARGIN, Number(width) + 2 * MARGIN, Number(height) + NOTES_HEIGHT + 2 * MARGIN];
    return `${open} viewBox="${box.join(' ')}"${rest}<style>${CHART_STYLE}</style>${notes(Number(height))}`;
  });
}
