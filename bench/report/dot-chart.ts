/**
 * A chart of one metric at a few categorical points: a row per server, grouped by point. Pure.
 */
import { tick } from './format.ts';
import {
  type ChartOptions,
  type Curve,
  heading,
  interval,
  LABEL_CHARACTERS,
  svg,
  tooltip,
  valuesOf,
  WIDTH,
} from './line-chart.ts';
import { el, label, shortened } from './markup.ts';
import { type Scale, valueScale } from './scale.ts';

const LEFT = 122;
const RIGHT = 62;
const TOP = 30;
const ROW = 19;
const GROUP_HEAD = 22;
const BOTTOM = 26;

function groupNames(curves: readonly Curve[], order: readonly string[]): string[] {
  return order.filter((name) => curves.some(({ points }) => points.some((point) => point.name === name)));
}

function row(curve: Curve, name: string, y: number, x: Scale, unit: string): string {
  const point = curve.points.find((candidate) => candidate.name === name);
  const text = label(LEFT - 12, y + 4, shortened(curve.label, LABEL_CHARACTERS), {
    class: 'name',
    'text-anchor': 'end',
  });
  const rule = el('line', { class: 'grid', x1: LEFT - 4, x2: WIDTH - RIGHT, y1: y, y2: y });
  if (point === undefined) return text + rule + label(LEFT, y + 4, 'no data', { class: 'tick' });
  const { interval: found } = point;
  const bar = found === null ? '' : interval(x.at(found.low), y, x.at(found.high), y);
  const dot = curve.mark.shape(x.at(point.median), y);
  const value = label(WIDTH - RIGHT + 10, y + 4, tick(point.median), { class: 'value' });
  const mark = el(
    'g',
    { class: point.hasErrors ? 'point hollow' : 'point' },
    tooltip(curve, point, unit) + bar + dot,
  );
  return text + rule + el('g', { class: `s${curve.mark.colour}` }, mark) + value;
}

function axis(x: Scale, bottom: number): string {
  let lastAt = Number.NEGATIVE_INFINITY;
  return x.ticks
    .map((value) => {
      const at = x.at(value);
      if (at - lastAt < 32) return '';
      lastAt = at;
      return (
        el('line', { class: 'grid', x1: at, x2: at, y1: TOP, y2: bottom }) +
        label(at, bottom + 16, tick(value), { class: 'tick', 'text-anchor': 'middle' })
      );
    })
    .join('');
}

/** `order`: names of the points in display order. */
export function dotChart(curves: readonly Curve[], order: readonly string[], options: ChartOptions): string {
  const values = curves.flatMap(({ points }) => points.flatMap(valuesOf));
  const x = valueScale(values, LEFT, WIDTH - RIGHT - 6, options.wantsLog);
  const groups = groupNames(curves, order);
  const groupHeight = GROUP_HEAD + curves.length * ROW;
  const bottom = TOP + Math.max(1, groups.length) * groupHeight;
  const heads = groups.map((name, g) => label(0, TOP + g * groupHeight + 15, name, { class: 'group' }));
  const rows = curves.map((curve, i) => {
    const own = groups.map((name, g) => {
      const y = TOP + g * groupHeight + GROUP_HEAD + (i + 0.5) * ROW;
      return row(curve, name, y, x, options.unit);
    });
    return el('g', { class: 'curve', 'data-label': curve.label }, own.join(''));
  });
  return svg(
    bottom + BOTTOM,
    options.title,
    heading(options.title, x.isLog) + axis(x, bottom) + heads.join('') + rows.join(''),
  );
}
