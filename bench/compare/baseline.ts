/**
 * The figures of an earlier results.json beside those of this session. Pure except for reading the file.
 *
 * They are not judged: two sessions on one machine differ by ten percent with an unchanged server, which no number of
 * rounds shows. `--baseline-command` runs the earlier build again, in the same rounds.
 */
import { readFileSync } from 'node:fs';
import { printable, shown, UsageError } from '../../src/options/values.ts';
import { problemOf } from '../../src/schema/json.ts';
import { withoutFolders } from '../programs.ts';
import type { Estimate } from '../stats/intervals.ts';
import {
  type Baseline,
  type BaselineFigure,
  type Cell,
  type EnvironmentInfo,
  Results,
  SCHEMA_VERSION,
} from './types.ts';

const EARLIER = `a results.json of version ${SCHEMA_VERSION}`;

/** Reads an earlier results.json, named by an option. Throws UsageError when it is invalid. */
export function readResults(option: string, file: string): Results {
  let found: unknown;
  try {
    found = JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const [reason = ''] = String((error as Error).message).split('\n');
    throw new UsageError(option, file, EARLIER, `cannot read ${shown(file)} (${printable(reason)})`);
  }
  const problem = problemOf(Results, found);
  if (problem === null) return found as Results;
  throw new UsageError(option, file, EARLIER, `${shown(file)} is invalid (${printable(problem)})`);
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

/** The same for the machine of the servers, where it is another one. */
function hostDifferences({ serverHost: then }: Results, { serverHost: now }: Results): string[] {
  if (then?.name === now?.name)
    return then === undefined || now === undefined ? [] : differences(then.environment, now.environment);
  const where = (host: typeof now) => (host === undefined ? 'beside the load' : `on ${host.name}`);
  return [`the servers were ${where(then)} and are ${where(now)}: not comparable`];
}

/** The load of a point as text; points are comparable only if it is equal. */
function loadAt(results: Results, name: string, key: string): string | null {
  const point = results.experiments
    .find((experiment) => experiment.name === name)
    ?.points.find((p) => p.key === key);
  if (point === undefined) return null;
  return [point.clients, point.requests, results.options.messageBytes].join('/');
}

function figuresOf(now: Results, then: Results, cell: Cell): BaselineFigure[] {
  const { experiment, point, label } = cell;
  const old = then.cells.find((c) => c.experiment === experiment && c.point === point && c.label === label);
  const ranked = now.experiments.find(({ name }) => name === experiment)?.ranked ?? [];
  if (old === undefined || loadAt(now, experiment, point) !== loadAt(then, experiment, point)) return [];
  return ranked.flatMap((metric) => {
    const [found, before] = [cell.metrics[metric], old.metrics[metric]];
    if (found === undefined || before === undefined) return [];
    return { experiment, point, metric, label, before: estimateOf(before), now: estimateOf(found) };
  });
}

function estimateOf({ median, low, high, confidence }: Estimate): Estimate {
  return { median, low, high, confidence };
}

export function besideBaseline(now: Results, then: Results, file: string): Baseline {
  const notes = [...differences(then.environment, now.environment), ...hostDifferences(then, now)];
  if (then.partial) notes.push('the earlier comparison was interrupted');
  const figures = now.cells.flatMap((cell) => figuresOf(now, then, cell));
  if (figures.length === 0) notes.push('no point of the earlier results was measured again');
  return {
    file: withoutFolders(file),
    date: then.environment.date,
    commit: then.environment.commit,
    notes,
    figures,
  };
}
