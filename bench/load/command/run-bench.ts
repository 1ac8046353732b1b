/**
 * `kecho-pool bench`: measures an echo server and checks every byte.
 *
 * Runs on the main thread and only waits (measurement.ts). Owns the signals, the output and the exit code.
 */
import { STDOUT } from '../../../src/options/values.ts';
import { onStopSignal } from '../../../src/sys/signals.ts';
import type { BenchRun } from '../schema.ts';
import type { BenchOptions } from './bench-options.ts';
import { CSV_HEAD, csvLine, hgrm, jsonLine } from './formats.ts';
import { Measurement } from './measurement.ts';
import { checkPoints, Progress, Sink, writePoint } from './output.ts';
import { pointsOf } from './points.ts';
import { headLine, report, roundTripText, warnings } from './report.ts';
import { thresholdFailures } from './thresholds.ts';
import { ms } from './values.ts';

const EXIT = { done: 0, errors: 1, threshold: 10, interrupted: 130 } as const;
/** Startup of the generator: Node and its modules. */
const START_MS = 150;

/** Files, or STDOUT. */
export interface Destinations {
  json?: string;
  csv?: string;
  hgrm?: string;
}

export type CommandOptions = BenchOptions & Destinations;

function printError(message: string): void {
  process.stderr.write(`kecho-pool bench: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
}

function sinksOf({ json, csv }: Destinations): { write: (run: BenchRun) => void; close: () => void } {
  const jsonSink = json === undefined ? null : new Sink('--json', json);
  const csvSink = csv === undefined ? null : new Sink('--csv', csv);
  csvSink?.write(CSV_HEAD);
  return {
    write(run) {
      jsonSink?.write(jsonLine(run));
      csvSink?.write(csvLine(run));
    },
    close() {
      jsonSink?.close();
      csvSink?.close();
    },
  };
}

function progressFor({ steps, repeat, warmupMs, requests, mode }: BenchOptions): Progress {
  const isTimed = requests === 0 || mode === 'burst';
  const onceMs = steps.reduce((sum, step) => sum + START_MS + warmupMs + step.durationMs, 0);
  return new Progress(steps.length * repeat, isTimed ? onceMs * repeat : 0);
}

/** Writes what needs all runs, and returns the exit code. */
function conclude({ runs, interrupted, roundTripMs, options }: Measurement, to: Destinations): number {
  const { thresholds, steps, repeat, mode } = options;
  const points = pointsOf(runs);
  if (to.hgrm !== undefined) {
    for (const point of points) writePoint(to.hgrm, point, steps.length, hgrm(point.times));
  }
  if (![to.json, to.csv, to.hgrm].includes(STDOUT))
    process.stdout.write(report(points, mode, headLine(options, roundTripMs)));
  for (const warning of warnings(points)) printError(`warning: ${warning}`);
  const failed = points.flatMap((point) => thresholdFailures(point, thresholds));
  for (const failure of failed) printError(failure);
  if (interrupted) {
    printError(`interrupted: partial, ${runs.length} of ${steps.length * repeat} runs were begun`);
    return EXIT.interrupted;
  }
  if (failed.length > 0) return EXIT.threshold;
  return points.some((point) => point.errorTotal > 0) ? EXIT.errors : EXIT.done;
}

/** Returns the exit code. */
export async function runBench(options: CommandOptions): Promise<number> {
  const measurement = await Measurement.prepare(options);
  const { roundTripMs } = measurement;
  if (roundTripMs !== null) printError(`${roundTripText(roundTripMs)}, part of each response time`);
  const lateMs = Date.now() - (options.startAtMs ?? Number.POSITIVE_INFINITY);
  if (lateMs > 0) printError(`warning: it begins ${ms(lateMs)} ms later than --start-at`);
  const sinks = sinksOf(options);
  if (options.hgrm !== undefined) checkPoints('--hgrm', options.hgrm, options.steps);
  const progress = progressFor(options);
  const forgetSignals = onStopSignal(measurement.interrupt);
  try {
    await measurement.measure({
      begins: ({ stage, clients }, turn) => {
        const which = stage === undefined ? '' : `stage ${stage}, `;
        progress.run(`${which}${clients} clients${options.repeat > 1 ? `, repeat ${turn}` : ''}`);
      },
      ...(progress.isShown ? { live: (live) => progress.live(live) } : {}),
      ended: (run) => {
        progress.ended();
        sinks.write(run);
      },
    });
  } finally {
    progress.close();
    sinks.close();
    forgetSignals();
  }
  return conclude(measurement, options);
}
