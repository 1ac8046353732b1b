/**
 * The picture of `kecho-pool sim --svg`: processors at work on machines of 8 to 64 processors. Pure.
 */
import { type Curve, lineChart } from './line-chart.ts';
import { marksFor } from './marks.ts';
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

/** A self-contained file. */
export function processorsChart(rows: readonly MachineRow[]): string {
  const labels = Object.keys(CURVES);
  const marks = marksFor(
    labels.map((label) => ({ label, kind: label === 'cmwq' ? 'strategy' : 'target', command: '' })),
  );
  const curves = [...marks].map(([label, mark]): Curve => {
    const points = rows.map((row) => {
      const median = CURVES[label]?.(row) ?? Number.NaN; // the marks have the labels of CURVES
      return { x: row.cpus, name: `${row.cpus} processors`, median, interval: null, hasErrors: false };
    });
    return { label, mark, points };
  });
  const options = {
    title: 'Processors at work: computed, not measured',
    axis: 'processors',
    unit: 'processors',
    wantsLog: true,
  };
  return lineChart(curves, options).replace(
    /^(<svg[^>]*>)/,
    (open) => `${open}<style>${CHART_STYLE}</style>`,
  );
}
