/**
 * One run: a server and a load generator, both new processes, so that no run inherits compiled code, memory or
 * connections.
 */
import { errorTotal } from '../../load/result.ts';
import type { LoadResult } from '../../load/schema.ts';
import { startLoad } from '../../load/start.ts';
import type { Command } from '../../programs.ts';
import { ServerUnderTest } from '../../server-under-test.ts';
import { CHURN_CONNECTIONS_MAX } from './cells.ts';
import type { ParityOptions } from './parity-options.ts';
import type { PlannedRun } from './plan.ts';

const ANSWER_TIMEOUT_MS = 5_000;
// The generator limits its own time; this is for one that hangs.
const GENERATOR_MARGIN_MS = 10_000;

export interface Run {
  repeat: number;
  cell: string;
  server: PlannedRun['server'];
  /** Null when the run failed as a whole. */
  result: LoadResult | null;
  /** Why it failed, or null. */
  failure: string | null;
}

/** Whether a run failed or had any error. */
export function isBad(run: Run): boolean {
  return run.failure !== null || run.result === null || errorTotal(run.result.errors) > 0;
}

async function load(
  { cell }: PlannedRun,
  options: ParityOptions,
  { process, port }: ServerUnderTest,
): Promise<LoadResult> {
  const warmupMs = Math.round(options.warmupSeconds * 1000);
  const durationMs = Math.round(options.seconds * 1000);
  await using generator = startLoad({
    mode: cell.mode,
    port,
    clients: cell.connections,
    bytes: cell.messageBytes,
    'warmup-ms': warmupMs,
    'duration-ms': durationMs,
    'timeout-ms': ANSWER_TIMEOUT_MS,
    'max-connections': CHURN_CONNECTIONS_MAX,
    'watch-pid': process.pid,
  });
  return await generator.result(warmupMs + durationMs + 2 * ANSWER_TIMEOUT_MS + GENERATOR_MARGIN_MS);
}

/** Does one planned run. A failure is returned in the result, never thrown. */
export async function measure(planned: PlannedRun, options: ParityOptions, command: Command): Promise<Run> {
  const { repeat, cell, server: name } = planned;
  const run: Run = { repeat, cell: cell.name, server: name, result: null, failure: null };
  try {
    await using server = await ServerUnderTest.start(`server ${name}`, command);
    run.result = await load(planned, options, server);
    const { ended, lastWords } = server.process;
    if (ended !== null) run.failure = `the server ended by itself: ${ended}${lastWords}`;
  } catch (error) {
    run.failure = (error as Error).message;
  }
  return run;
}
