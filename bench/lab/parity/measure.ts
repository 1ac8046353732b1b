/**
 * One run: a fresh server, a fresh load generator, one result.
 *
 * Both are new processes every time, so that no run inherits compiled code, memory or connections.
 */
import { join } from 'node:path';
import { errorTotal } from '../../load/result.ts';
import type { LoadResult } from '../../load/schema.ts';
import { Child } from '../children.ts';
import { CHURN_CONNECTIONS_MAX } from './cells.ts';
import type { ParityOptions } from './parity-options.ts';
import type { PlannedRun } from './plan.ts';
import { type Command, startServer } from './servers.ts';

const GENERATOR = join(import.meta.dirname, '../../load/main.ts');
const ANSWER_TIMEOUT_MS = 5_000;
// The generator bounds itself; this is for a generator that hangs all the same.
const GENERATOR_MARGIN_MS = 10_000;

export interface Run {
  repeat: number;
  cell: string;
  server: PlannedRun['server'];
  /** Null when the run failed as a whole. */
  result: LoadResult | null;
  /** Why it failed; null when it did not. */
  failure: string | null;
}

/** Whether a run has anything in it that must not happen. */
export function isBad(run: Run): boolean {
  return run.failure !== null || run.result === null || errorTotal(run.result.errors) > 0;
}

function generatorArgs({ cell }: PlannedRun, options: ParityOptions, port: number, pid: number): string[] {
  const flags: [string, string | number][] = [
    ['mode', cell.mode],
    ['port', port],
    ['connections', cell.connections],
    ['bytes', cell.messageBytes],
    ['warmup-ms', Math.round(options.warmupSeconds * 1000)],
    ['duration-ms', Math.round(options.seconds * 1000)],
    ['timeout-ms', ANSWER_TIMEOUT_MS],
    ['max-connections', CHURN_CONNECTIONS_MAX],
    ['watch-pid', pid],
  ];
  return [GENERATOR, ...flags.flatMap(([name, value]) => [`--${name}`, String(value)])];
}

async function load(
  planned: PlannedRun,
  options: ParityOptions,
  server: Child,
  port: number,
): Promise<LoadResult> {
  const budgetMs =
    (options.warmupSeconds + options.seconds) * 1000 + 2 * ANSWER_TIMEOUT_MS + GENERATOR_MARGIN_MS;
  const args = generatorArgs(planned, options, port, server.pid);
  const generator = new Child('load generator', process.execPath, args);
  try {
    return JSON.parse(await generator.finished(budgetMs)) as LoadResult;
  } finally {
    await generator.stop();
  }
}

/** Does one planned run. A failure is in the answer, never thrown. */
export async function measure(planned: PlannedRun, options: ParityOptions, command: Command): Promise<Run> {
  const run: Run = {
    repeat: planned.repeat,
    cell: planned.cell.name,
    server: planned.server,
    result: null,
    failure: null,
  };
  try {
    const [server, port] = await startServer(planned.server, command);
    try {
      run.result = await load(planned, options, server, port);
      if (server.ended !== null)
        run.failure = `the server ended by itself: ${server.ended}${server.lastWords}`;
    } finally {
      await server.stop();
    }
  } catch (error) {
    run.failure = (error as Error).message;
  }
  return run;
}
