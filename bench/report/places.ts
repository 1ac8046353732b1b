/**
 * The loads that were measured, and the cells of the compared servers at each. Pure.
 */
import type { Cell, ExperimentInfo, PointInfo, Results } from '../compare/types.ts';

/** A load: an experiment at a point. */
export interface Place {
  experiment: ExperimentInfo;
  point: PointInfo;
}

/** A load in a headline: "40 clients that stay connected". */
export function loadOf({ title, load = title }: PointInfo): string {
  return load;
}

export function measuredPlaces({ experiments, cells }: Results, only?: ExperimentInfo): Place[] {
  return (only === undefined ? experiments : [only]).flatMap((experiment) =>
    experiment.points
      .filter(({ key }) => cells.some((cell) => cell.experiment === experiment.name && cell.point === key))
      .map((point) => ({ experiment, point })),
  );
}

/** The cells of the compared servers; a control and an old build are not among these. */
export function cellsAt(results: Results, { experiment, point }: Place): Cell[] {
  const compared = results.contestants
    .filter(({ kind }) => kind !== 'control' && kind !== 'before')
    .map(({ label }) => label);
  return results.cells.filter(
    (cell) =>
      cell.experiment === experiment.name && cell.point === point.key && compared.includes(cell.label),
  );
}

export function hasFailed({ errorTotal, failedRuns }: Cell): boolean {
  return errorTotal + failedRuns > 0;
}
