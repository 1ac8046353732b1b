/**
 * The charts of a report: for each experiment one per metric, and the timelines. Pure.
 */
import { METRICS, type MetricKey } from '../compare/metrics.ts';
import type { Cell, ExperimentInfo, Results, Timeline } from '../compare/types.ts';
import { intervalOf } from '../stats/intervals.ts';
import { dotChart } from './dot-chart.ts';
import { metricTitle } from './format.ts';
import { type ChartPoint, type Curve, lineChart } from './line-chart.ts';
import { type Mark, marksFor } from './marks.ts';
import { CHART_STYLE } from './style.ts';
import { changes, timelineChart } from './timeline-chart.ts';

export interface Chart {
  /** File name without extension. */
  name: string;
  svg: string;
}

/** Minimum number of points for a line chart instead of rows. */
const LINE_POINTS_MIN = 3;

function chartPoint(cell: Cell, metric: MetricKey, experiment: ExperimentInfo): ChartPoint[] {
  const found = cell.metrics[metric];
  const point = experiment.points.find(({ key }) => key === cell.point);
  if (found === undefined || point === undefined) return [];
  const x = Number.isFinite(Number(point.key)) ? Number(point.key) : point.clients;
  const hasErrors = cell.errorTotal + cell.failedRuns > 0;
  return [{ x, name: point.title, median: found.median, interval: intervalOf(found), hasErrors }];
}

function curves(
  results: Results,
  experiment: ExperimentInfo,
  metric: MetricKey,
  marks: Map<string, Mark>,
): Curve[] {
  return [...marks].flatMap(([label, mark]) => {
    const cells = results.cells.filter((cell) => cell.experiment === experiment.name && cell.label === label);
    const points = cells.flatMap((cell) => chartPoint(cell, metric, experiment)).sort((a, b) => a.x - b.x);
    return cells.length === 0 ? [] : [{ label, mark, points }];
  });
}

function isLine({ points }: ExperimentInfo): boolean {
  return points.length >= LINE_POINTS_MIN && points.every(({ key }) => Number.isFinite(Number(key)));
}

function metricChart(
  results: Results,
  experiment: ExperimentInfo,
  metric: MetricKey,
  marks: Map<string, Mark>,
): Chart {
  const found = curves(results, experiment, metric, marks);
  const options = {
    title: metricTitle(metric),
    axis: experiment.axis,
    unit: METRICS[metric].unit,
    wantsLog: metric === 'worstMs',
  };
  const svg = isLine(experiment)
    ? lineChart(found, options)
    : dotChart(
        found,
        experiment.points.map(({ title }) => title),
        options,
      );
  return { name: `${experiment.name}-${metric}`, svg };
}

export function metricCharts(results: Results, experiment: ExperimentInfo): Chart[] {
  const marks = marksFor(results.contestants);
  return experiment.charts.map((metric) => metricChart(results, experiment, metric, marks));
}

function timelineOf({ timelines }: Results, experiment: ExperimentInfo, label: string): Timeline | undefined {
  return timelines.find((line) => line.experiment === experiment.name && line.label === label);
}

/** The servers whose timelines are left out, since nothing changes in them. */
export function flatTimelines(results: Results, experiment: ExperimentInfo): string[] {
  return results.contestants.flatMap(({ label }) => {
    const own = timelineOf(results, experiment, label);
    return own === undefined || changes(own) ? [] : [label];
  });
}

/** The experiment's timelines that show something, one per server, in their order. */
export function timelineCharts(results: Results, experiment: ExperimentInfo): Chart[] {
  return results.contestants.flatMap(({ label }, index) => {
    const own = timelineOf(results, experiment, label);
    if (own === undefined || !changes(own)) return [];
    const point = experiment.points.find(({ key }) => key === own.point);
    // A number, because a target's label may not be a valid file name.
    const name = `${experiment.name}-timeline-${index + 1}`;
    return [{ name, svg: timelineChart(own, `Inside ${label}, ${point?.title ?? own.point}`) }];
  });
}

/** All charts of a report, as self-contained files. */
export function chartFiles(results: Results): Chart[] {
  const charts = results.experiments.flatMap((experiment) => [
    ...metricCharts(results, experiment),
    ...timelineCharts(results, experiment),
  ]);
  return charts.map(({ name, svg }) => ({
    name,
    svg: svg.replace(/^(<svg[^>]*>)/, (open) => `${open}<style>${CHART_STYLE}</style>`),
  }));
}
