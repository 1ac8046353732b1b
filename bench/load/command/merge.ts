/**
 * Adds up what several generators measured together: the lines of their `bench --json`. Pure.
 *
 * The histograms are summed, so a percentile is that of all response times; averages of percentiles would be those of
 * nothing. Rates, clients and errors are sums. Results of different loads have no sum, and are refused.
 */
import { UsageError } from '../../../src/options/values.ts';
import { problemOf } from '../../../src/schema/json.ts';
import { BenchLine, type BenchRun } from '../schema.ts';
import { type Point, pointKey, pointsOf, sumOfGenerators } from './points.ts';
import { report, warnings } from './report.ts';
import { perSecondText } from './values.ts';

/** What one generator measured. */
export interface GeneratorResults {
  /** Its file. */
  name: string;
  runs: readonly BenchRun[];
}

/** What the runs of one point have in common if they were parts of one load. */
const LOAD = [
  'target',
  'mode',
  'requests',
  'messageBytes',
  'durationMs',
  'rate',
  'arrivals',
  'clients',
] as const;

/** Share of the window by which generators may begin at different times before their rates have no sum. */
const APART_SHARE = 0.1;

/** Reads the lines of a file. Throws UsageError, which names the file. */
export function parseResults(name: string, text: string): GeneratorResults {
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const refuse = (problem: string): never => {
    throw new UsageError(name, undefined, 'lines that bench --json has written', problem);
  };
  const runs = lines.map((line, i) => {
    const value = parsed(line);
    const problem = value === undefined ? 'not JSON' : problemOf(BenchLine, value);
    return problem === null ? (value as BenchRun) : refuse(`line ${i + 1}: ${problem}`);
  });
  if (runs.length === 0) refuse('no results');
  const keys = runs.map(runKey);
  const twice = keys.find((key, i) => keys.indexOf(key) !== i);
  return twice === undefined ? { name, runs } : refuse(`it has two results for ${twice}`);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Which point, and which of its repeats: once in a measurement. */
function runKey(run: BenchRun): string {
  return `${pointKey(run)}, repeat ${run.repeat}`;
}

function loadsOf({ runs }: GeneratorResults): Map<string, BenchRun> {
  return new Map(runs.map((run) => [runKey(run), run]));
}

/** Throws UsageError unless both have runs of the same loads. */
function checkSame(first: GeneratorResults, other: GeneratorResults): void {
  const [expected, found] = [loadsOf(first), loadsOf(other)];
  const refuse = (problem: string): never => {
    throw new UsageError(other.name, undefined, `the same load as ${first.name}`, problem);
  };
  for (const [key, run] of expected) {
    const same = found.get(key) ?? refuse(`it has no result for ${key}`);
    const field = LOAD.find((name) => run[name] !== same[name]);
    if (field !== undefined)
      refuse(`${field} is ${same[field] ?? 'absent'} instead of ${run[field] ?? 'absent'}`);
  }
  const extra = [...found.keys()].find((key) => !expected.has(key));
  if (extra !== undefined) refuse(`it has a result for ${extra}`);
}

/** The points of all generators together. Throws UsageError when their loads differ. */
export function mergedPoints(generators: readonly GeneratorResults[]): Point[] {
  const [first, ...others] = generators;
  if (first === undefined) return [];
  for (const other of others) checkSame(first, other);
  const points = generators.flatMap(({ runs }) => pointsOf(runs));
  return [...Map.groupBy(points, pointKey).values()].map(sumOfGenerators);
}

/** Names the generators whose runs did not begin together. */
function apart([first, ...others]: readonly GeneratorResults[]): string[] {
  if (first === undefined) return [];
  const expected = loadsOf(first);
  return others.flatMap((other) => {
    const late = [...loadsOf(other)].find(([key, { startedAt, windowMs }]) => {
      const begun = expected.get(key)?.startedAt ?? startedAt;
      return Math.abs(Date.parse(startedAt) - Date.parse(begun)) > APART_SHARE * windowMs;
    });
    if (late === undefined) return [];
    return [
      `${first.name} and ${other.name} did not begin together (${late[0]}): the rate is no sum (--start-at)`,
    ];
  });
}

function titleOf(generators: readonly GeneratorResults[], points: readonly Point[]): string {
  const { mode = 'closed', target, messageBytes } = generators[0]?.runs[0] ?? {};
  const [only, another] = points;
  const rate = another === undefined ? only?.rate : undefined;
  return [
    `${mode} ${target}`,
    `${generators.length} generators`,
    ...(rate === undefined ? [] : [`${perSecondText(rate)} requests/s intended`]),
    `${messageBytes} bytes`,
  ].join(', ');
}

/** The table of all together, and what makes it less reliable, by generator. */
export function mergeReport(generators: readonly GeneratorResults[]): {
  text: string;
  warnings: string[];
  errorTotal: number;
} {
  const points = mergedPoints(generators);
  const mode = generators[0]?.runs[0]?.mode ?? 'closed';
  return {
    text: report(points, mode, titleOf(generators, points)),
    warnings: [
      ...apart(generators),
      ...generators.flatMap(({ name, runs }) => [
        ...(runs.some(({ partial }) => partial) ? [`${name} was interrupted`] : []),
        ...warnings(pointsOf(runs)).map((warning) => `${name}: ${warning}`),
      ]),
    ],
    errorTotal: points.reduce((sum, point) => sum + point.errorTotal, 0),
  };
}
