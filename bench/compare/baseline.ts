/**
 * Changes since an earlier results.json: each server is judged against its earlier self by the rules for two servers.
 * Pure except for reading the file.
 *
 * Another machine, kernel or Node makes the two incomparable; the report shows the changes with a note.
 */
import { readFileSync } from 'node:fs';
import { printable, shown, UsageError } from '../../src/options/values.ts';
import { problemOf } from '../../src/schema/json.ts';
import { seedFor } from '../stats/bootstrap.ts';
import { judge } from '../stats/verdict.ts';
import { sampleOf } from './analyse.ts';
import {
  type Baseline,
  type BaselineChange,
  type Cell,
  type EnvironmentInfo,
  METRICS,
  Results,
  SCHEMA_VERSION,
} from './types.ts';

const EARLIER = `a results.json of version ${SCHEMA_VERSION}`;

/** Reads an earlier results.json. Throws UsageError when it is invalid. */
export function readBaseline(file: string): Results {
  let found: unknown;
  try {
    found = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const [reason = ''] = String((error as Error).message).split('\n');
    throw new UsageError('--baseline', file, EARLIER, `cannot read ${shown(file)} (${printable(reason)})`);
  }
  const problem = problemOf(Results, found);
  if (problem === null) return found as Results;
  throw new UsageError('--baseline', file, EARLIER, `${shown(file)} is invalid (${printable(problem)})`);
}

const MUST_BE_EQUAL: readonly (keyof EnvironmentInfo)[] = [
  'cpu',
  'cores',
  'availableParallelism',
  'kernel',
  'node',
];

function differences(then: EnvironmentInfo, now: EnvironmentInfo): string[] {
  return MUST_BE_EQUAL.filter((key) => then[key] !== now[key]).map(
    (key) => `${key} was ${String(then[key])} and is ${String(now[key])}: not comparable`,
  );
}

/** The load of a point as text; points are comparable only if it is equal. */
function loadAt(results: Results, name: string, key: string): string | null {
  const point = results.experiments
    .find((experiment) => experiment.name === name)
    ?.points.find((p) => p.key === key);
  if (point === undefined) return null;
  return [point.clients, point.requests, results.options.messageBytes].join('/');
}

function noiseAt(results: Results, cell: Cell, metric: string): number {
  const floor = results.noise.find(
    (noise) => noise.experiment === cell.experiment && noise.point === cell.point && noise.metric === metric,
  );
  return floor?.factor ?? 1;
}

function changesOf(now: Results, then: Results, cell: Cell): BaselineChange[] {
  const { experiment, point, label } = cell;
  const old = then.cells.find((c) => c.experiment === experiment && c.point === point && c.label === label);
  const ranked = now.experiments.find(({ name }) => name === experiment)?.ranked ?? [];
  if (old === undefined || loadAt(now, experiment, point) !== loadAt(then, experiment, point)) return [];
  return ranked.flatMap((metric) => {
    const { better } = METRICS[metric];
    if (better === null || old.metrics[metric] === undefined || cell.metrics[metric] === undefined) return [];
    const floor = Math.max(noiseAt(now, cell, metric), noiseAt(then, cell, metric));
    const seed = seedFor(now.seed, `baseline/${experiment}/${point}/${label}/${metric}`);
    const verdict = judge(sampleOf(cell, metric), sampleOf(old, metric), better, floor, seed);
    return [{ experiment, point, metric, label, ...verdict }];
  });
}

export function compareWithBaseline(now: Results, then: Results, file: string): Baseline {
  const notes = differences(then.environment, now.environment);
  if (then.partial) notes.push('the earlier comparison was interrupted');
  const changes = now.cells.flatMap((cell) => changesOf(now, then, cell));
  if (changes.length === 0) notes.push('no point of the earlier results was measured again');
  return { file, date: then.environment.date, commit: then.environment.commit, notes, changes };
}
