/**
 * A server's queue, workers and threads over time during one run. Pure.
 *
 * Each server has a chart with its own time axis, because one may take a hundred times as long as another. Lines are
 * steps: values between samples are unknown.
 */
import { curveStepAfter } from 'd3-shape';
import type { Timeline, TimelineSample } from '../compare/types.ts';
import { tick } from './format.ts';
import { spreadLabels, svg, WIDTH } from './line-chart.ts';
import { el, label, path, shortened } from './markup.ts';
import { linearScale, type Scale } from './scale.ts';

const LEFT = 44;
const RIGHT = 110;
const TOP = 26;
const LANE = 64;
const GAP = 10;
const FOOT = 18;
const NAME_LINE = 13;

interface Series {
  name: string;
  class: string;
  of: (sample: TimelineSample) => number | null;
}

const QUEUE: readonly Series[] = [{ name: 'waiting', class: 'queue', of: (sample) => sample.queued }];
const WORKERS: readonly Series[] = [
  { name: 'threads', class: 'threads', of: (sample) => sample.threads },
  { name: 'busy workers', class: 'busy', of: (sample) => sample.busyWorkers },
  { name: 'nr_running', class: 'running', of: (sample) => sample.nrRunning },
];

function steps(samples: readonly TimelineSample[], { of }: Series, x: Scale, y: Scale): string {
  const points = samples.flatMap((sample): [number, number][] => {
    const value = of(sample);
    return value === null ? [] : [[x.at(sample.atMs), y.at(value)]];
  });
  return path(points, curveStepAfter);
}

/** The series that are not zero all the time. */
function shown(samples: readonly TimelineSample[], all: readonly Series[]): Series[] {
  return all.filter((series) => samples.some((sample) => (series.of(sample) ?? 0) !== 0));
}

/** The lines of one lane, each labelled at its end. */
function lane(samples: readonly TimelineSample[], known: readonly Series[], x: Scale, top: number): string {
  const values = known.flatMap((series) => samples.map((sample) => series.of(sample) ?? 0));
  const y = linearScale(values, top + LANE, top + 8, 2, true);
  const right = WIDTH - RIGHT;
  const rules = y.ticks.map(
    (value) =>
      el('line', { class: 'grid', x1: LEFT, x2: right, y1: y.at(value), y2: y.at(value) }) +
      label(LEFT - 6, y.at(value) + 4, tick(value), { class: 'tick', 'text-anchor': 'end' }),
  );
  const lines = known.map((series) =>
    el('path', { class: `step ${series.class}`, d: steps(samples, series, x, y) }),
  );
  const lastValues = known.map((series) => y.at(series.of(samples.at(-1) as TimelineSample) ?? 0)); // samples are not empty
  const places = spreadLabels(lastValues, NAME_LINE, top + 6, top + LANE);
  const names = known.map((series, i) => {
    const at = places[i] as number; // one per series
    const key = el('line', { class: `step ${series.class}`, x1: right + 6, x2: right + 24, y1: at, y2: at });
    return key + label(right + 28, at + 4, series.name, { class: 'name' });
  });
  return [...rules, ...lines, ...names].join('');
}

function timeAxis(x: Scale, y: number): string {
  const ticks = x.ticks.map((value) =>
    label(x.at(value), y, tick(value), { class: 'tick', 'text-anchor': 'middle' }),
  );
  return ticks.join('') + label(WIDTH - RIGHT + 28, y, 'ms', { class: 'tick' });
}

/** Values that a figure must take between the first and the last sample, which are taken before and after the load. */
const VALUES_MIN = 3;

/** Whether a timeline shows something: any of its figures changes while the load lasts, more than up and down. */
export function changes({ samples }: Pick<Timeline, 'samples'>): boolean {
  const within = samples.slice(1, -1);
  return [...QUEUE, ...WORKERS].some(
    (series) => new Set(within.flatMap((sample) => series.of(sample) ?? [])).size >= VALUES_MIN,
  );
}

export function timelineChart({ label: name, samples }: Timeline, title: string): string {
  const head = label(0, 16, shortened(title, 60), { class: 'title' });
  const x = linearScale([samples.at(-1)?.atMs ?? 1], LEFT, WIDTH - RIGHT, 4);
  const lanes = [QUEUE, WORKERS].map((all) => shown(samples, all)).filter((known) => known.length > 0);
  const drawn = lanes.map((series, i) => lane(samples, series, x, TOP + i * (LANE + GAP)));
  const bottom = TOP + lanes.length * (LANE + GAP);
  const inner = head + drawn.join('') + timeAxis(x, bottom + 10);
  return svg(bottom + FOOT, title, el('g', { class: 'panel', 'data-label': name }, inner));
}
