/**
 * `kecho-pool/bench`: the load generator for programs.
 *
 * ```ts
 * import { bench } from 'kecho-pool/bench';
 *
 * const [result] = await bench({ target: '127.0.0.1:7', clients: 100, durationMs: 2000 });
 * console.log(result?.response.p99Ms);
 * ```
 *
 * It only waits: the load comes from processes of its own, which end with this one. It prints nothing. For a target on
 * another machine it first blocks the thread for five round trips, which it measures.
 */
import { checkNames, checkValue, UsageError } from '../../src/options/values.ts';
import { CLIENTS_KIND, completeOptions, KINDS, POINTS_MAX } from './command/bench-options.ts';
import { Measurement } from './command/measurement.ts';
import { pointsOf, type Stage } from './command/values.ts';
import type { Arrivals, Mode } from './result.ts';
import type { BenchRun } from './schema.ts';

export { UsageError } from '../../src/options/values.ts';

/** The result of one measurement, as a line of `kecho-pool bench --json`. */
export type BenchResult = BenchRun;

/** The options of `kecho-pool bench`, with the same defaults. */
export interface BenchSettings {
  /** `host:port`, `host` or a port; default 127.0.0.1:12345. */
  target?: string;
  /** Allow a target on another machine. */
  remote?: boolean;
  /** Address of the server's admin endpoint, for its CPU time. */
  serverAdmin?: string;
  mode?: Mode;
  /** Several for a sweep. */
  clients?: number | readonly number[];
  /** A ramp: with `rate` in open mode, else with `clients`. */
  stages?: readonly ({ durationMs: number; clients: number } | { durationMs: number; rate: number })[];
  /** Per client. */
  requests?: number;
  durationMs?: number;
  /** Open mode: requests per second. */
  rate?: number;
  /** Open mode. */
  arrivals?: Arrivals;
  messageBytes?: number;
  /** Measurements of each point. */
  repeat?: number;
  warmupMs?: number;
  timeoutMs?: number;
  /** Burst and churn. */
  maxConnections?: number;
  seed?: number;
  /** The load generator on a processor of its own. */
  pin?: boolean;
}

type StageSettings = NonNullable<BenchSettings['stages']>[number];

const SINGLE = Object.keys(KINDS) as (keyof typeof KINDS)[];
const NAMES = [...SINGLE, 'target', 'clients', 'stages'];
const STAGE_MS = { ...KINDS.durationMs, minMs: 1 };

function clientsOf(clients: BenchSettings['clients']): number[] | undefined {
  if (clients === undefined) return undefined;
  const list: readonly number[] = Array.isArray(clients) ? clients : [clients];
  for (const count of list) checkValue(CLIENTS_KIND, count, 'clients');
  return pointsOf(list, POINTS_MAX, 'clients', clients);
}

function stageOf(stage: StageSettings, mode: Mode | undefined): Stage {
  const amount = mode === 'open' ? 'rate' : 'clients';
  checkNames(stage, ['durationMs', amount]);
  checkValue(STAGE_MS, stage.durationMs, 'stages: durationMs');
  const value = (stage as unknown as Record<string, unknown>)[amount];
  checkValue(mode === 'open' ? KINDS.rate : CLIENTS_KIND, value, `stages: ${amount}`);
  return { durationMs: stage.durationMs, amount: value as number }; // a number, by its check
}

function stagesOf({ stages, mode }: BenchSettings): Stage[] | undefined {
  if (stages === undefined) return undefined;
  if (Array.isArray(stages) && stages.length > 0) return stages.map((stage) => stageOf(stage, mode));
  throw new UsageError('stages', stages, 'an array of stages, each with durationMs, and clients or rate');
}

/**
 * Measures an echo server: a result for each number of clients or stage, times `repeat`. Errors of connections are
 * counted in the results. Throws UsageError for wrong options; rejects when nothing can be measured.
 */
export async function bench(settings: BenchSettings = {}): Promise<BenchResult[]> {
  checkNames(settings, NAMES);
  for (const name of SINGLE) {
    if (settings[name] !== undefined) checkValue(KINDS[name], settings[name], name);
  }
  if (settings.target !== undefined) checkValue({ type: 'text' }, settings.target, 'target');
  const given = { ...settings, clients: clientsOf(settings.clients), stages: stagesOf(settings) };
  const measurement = await Measurement.prepare(completeOptions(given, (name) => name));
  await measurement.measure();
  return measurement.runs;
}
