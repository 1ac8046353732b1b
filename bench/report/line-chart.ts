/**
 * A chart of one metric over the number of clients, one curve per server, labelled at its end. Pure.
 *
 * Points are medians with their 95 % intervals, if any; a hollow point had errors.
 */
import type { Interval } from '../stats/intervals.ts';
import { tick } from './format.ts';
import type { Mark } from './marks.ts';
import { el, label, path, rounded, shortened } from './markup.ts';
import { logScale, type Scale, valueScale } from './scale.ts';

export interface ChartPoint {
  x: number;
  /** Title of the point. */
  name: string;
  median: number;
  /** Null with too few runs. */
  interval: Interval | null;
  hasErrors: boolean;
}

export interface Curve {
  label: string;
  mark: Mark;
  points: ChartPoint[];
}

export interface ChartOptions {
  title: string;
  axis: string;
  unit: string;
  wantsLog: boolean;
}

export const WIDTH = 440;
const HEIGHT = 290;
const FRAME = { left: 50, right: 118, top: 34, bottom: 44 };
export const LABEL_CHARACTERS = 17;
const LABEL_LINE = 14;

/** An SVG element that scales with its container. */
export function svg(height: number, name: string, inner: string): string {
  return el(
    'svg',
    {
      xmlns: 'http://www.w3.org/2000/svg',
      viewBox: `0 0 ${WIDTH} ${rounded(height)}`,
      role: 'img',
      'aria-label': name,
    },
    inner,
  );
}

/** The heading, which mentions a log axis. */
export function heading(title: string, isLog: boolean): string {
  return label(0, 16, `${title}${isLog ? ' (log axis)' : ''}`, { class: 'title' });
}

/** The tooltip of a point. */
export function tooltip(curve: Curve, point: ChartPoint, unit: string): string {
  const errors = point.hasErrors ? '; with errors' : '';
  const { interval: found } = point;
  const range = found === null ? '' : ` (${tick(found.low)} to ${tick(found.high)})`;
  const text = `${curve.label}, ${point.name}: ${tick(point.median)} ${unit}${range}${errors}`;
  return `<title>${label(0, 0, text).replace(/^<text[^>]*>|<\/text>$/g, '')}</title>`;
}

function grid(x: Scale, y: Scale, xTicks: readonly number[], axis: string): string {
  const right = WIDTH - FRAME.right;
  const bottom = HEIGHT - FRAME.bottom;
  const rows = y.ticks.map(
    (value) =>
      el('line', { class: 'grid', x1: FRAME.left, x2: right, y1: y.at(value), y2: y.at(value) }) +
      label(FRAME.left - 6, y.at(value) + 4, tick(value), { class: 'tick', 'text-anchor': 'end' }),
  );
  const columns = xTicks.map(
    (value) =>
      el('line', { class: 'axis', x1: x.at(value), x2: x.at(value), y1: bottom, y2: bottom + 4 }) +
      label(x.at(value), bottom + 17, tick(value), { class: 'tick', 'text-anchor': 'middle' }),
  );
  const base = el('line', { class: 'axis', x1: FRAME.left, x2: right, y1: bottom, y2: bottom });
  const name = label((FRAME.left + right) / 2, HEIGHT - 8, axis, { class: 'tick', 'text-anchor': 'middle' });
  return [...rows, ...columns, base, name].join('');
}

/** Drops ticks whose text would overlap the previous one. */
function spacedTicks(values: readonly number[], x: Scale): number[] {
  const kept: number[] = [];
  for (const value of values) {
    const last = kept.at(-1);
    if (last === undefined || x.at(value) - x.at(last) > 26) kept.push(value);
  }
  return kept;
}

/** The values that the scale must cover. */
export function valuesOf({ median, interval: found }: ChartPoint): number[] {
  return found === null ? [median] : [median, found.low, found.high];
}

export function interval(x1: number, y1: number, x2: number, y2: number): string {
  return el('line', { class: 'interval', x1, y1, x2, y2 });
}

function curveMarkup(curve: Curve, x: Scale, y: Scale, unit: string): string {
  const { mark, points } = curve;
  const dots = points.map((p) => {
    const { interval: found } = p;
    const bar = found === null ? '' : interval(x.at(p.x), y.at(found.low), x.at(p.x), y.at(found.high));
    const dot = mark.shape(x.at(p.x), y.at(p.median));
    return el('g', { class: p.hasErrors ? 'point hollow' : 'point' }, tooltip(curve, p, unit) + bar + dot);
  });
  const d = path(points.map((p) => [x.at(p.x), y.at(p.median)]));
  const line = el('path', { class: 'line', d, 'stroke-dasharray': mark.dash || 'none' });
  return el('g', { class: `curve s${mark.colour}`, 'data-label': curve.label }, line + dots.join(''));
}

/** Moves labels apart as little as possible until none overlap. */
export function spreadLabels(wanted: readonly number[], gap: number, low: number, high: number): number[] {
  const order = wanted.map((_, i) => i).sort((a, b) => (wanted[a] as number) - (wanted[b] as number));
  const places = [...wanted];
  let floor = low;
  for (const i of order) {
    places[i] = Math.max(wanted[i] as number, floor); // `order` holds indices of `wanted`
    floor = (places[i] as number) + gap;
  }
  let ceiling = high;
  for (const i of order.toReversed()) {
    places[i] = Math.min(places[i] as number, ceiling);
    ceiling = (places[i] as number) - gap;
  }
  return places;
}

function endLabels(curves: readonly Curve[], x: Scale, y: Scale): string {
  const ends = curves.map(({ points }) => points.at(-1));
  const bottom = HEIGHT - FRAME.bottom;
  const wanted = ends.map((end) => (end === undefined ? bottom : y.at(end.median)));
  const places = spreadLabels(wanted, LABEL_LINE, FRAME.top, bottom);
  const left = WIDTH - FRAME.right + 12;
  return curves
    .map((curve, i) => {
      const end = ends[i];
      const at = places[i] as number; // one per curve
      const text = shortened(curve.label, LABEL_CHARACTERS - (end === undefined ? 8 : 0));
      const leader =
        end === undefined
          ? ''
          : el('line', { class: 'leader', x1: x.at(end.x) + 6, y1: y.at(end.median), x2: left - 3, y2: at });
      return leader + label(left, at + 4, end === undefined ? `${text}: no data` : text, { class: 'name' });
    })
    .join('');
}

export function lineChart(curves: readonly Curve[], options: ChartOptions): string {
  const points = curves.flatMap((curve) => curve.points);
  const values = points.flatMap(valuesOf);
  const bottom = HEIGHT - FRAME.bottom;
  const y = valueScale(values, bottom, FRAME.top, options.wantsLog);
  const xs = [...new Set(points.map((p) => p.x))].sort((a, b) => a - b);
  const x = logScale(xs.length > 0 ? xs : [1], FRAME.left + 10, WIDTH - FRAME.right - 4, true);
  return svg(
    HEIGHT,
    options.title,
    heading(options.title, y.isLog) +
      grid(x, y, spacedTicks(xs, x), options.axis) +
      endLabels(curves, x, y) +
      curves.map((curve) => curveMarkup(curve, x, y, options.unit)).join(''),
  );
}
