/**
 * `kecho-pool bench`: measures an echo server and checks every byte.
 *
 * Runs on the main thread and only waits: each run's load comes from a new process (../main.ts). Owns the order of the
 * runs, the output and the exit code.
 */
import { STDOUT } from '../../../src/options/values.ts';
import { onStopSignal } from '../../../src/sys/signals.ts';
import { descriptorLimit } from '../../../src/sys/socket.ts';
import type { ChildProcess, Placement } from '../../child-process.ts';
import { type Pinning, pinning } from '../../pinning.ts';
import { selfCheck } from '../../self-check.ts';
import type { ServerUnderTest } from '../../server-under-test.ts';
import { checkDescriptors } from '../load-options.ts';
import type { BenchRun, LoadResult } from '../schema.ts';
import { startEcho, startLoad } from '../start.ts';
import type { BenchOptions } from './bench-options.ts';
import { CSV_HEAD, csvLine, hgrm, jsonLine } from './formats.ts';
import { resolveLocalhost } from './locate.ts';
import { checkPoints, Progress, Sink, writePoint } from './output.ts';
import { pointsOf } from './points.ts';
import { report, warnings } from './report.ts';
import { thresholdFailures } from './thresholds.ts';
import { targetText } from './values.ts';

const EXIT = { done: 0, errors: 1, threshold: 10, interrupted: 130 } as const;
/** Startup of the generator: Node and its modules. */
const START_MS = 150;
/** Kills a generator that ignores the end of its input; normally it stops within one turn of its event loop. */
const STOP_GRACE_MS = 5_000;

function printError(message: string): void {
  process.stderr.write(`kecho-pool bench: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
}

/** What all runs share. */
interface Setting {
  /** For the generator's warm-up and self-check; null without warm-up. */
  echo: ServerUnderTest | null;
  pinned: Pinning | null;
}

function onGenerator(pinned: Pinning | null): Placement {
  return pinned === null ? {} : { cpus: pinned.generator };
}

/** With stdin-stops the generator cannot outlive this process, whose exit closes its standard input. */
function startGenerator(options: BenchOptions, clients: number, { echo, pinned }: Setting): ChildProcess {
  const { target, mode, messageBytes, rate, arrivals, seed, requests } = options;
  const flags = {
    mode,
    address: target.address,
    port: target.port,
    clients,
    bytes: messageBytes,
    'warmup-ms': options.warmupMs,
    'duration-ms': options.durationMs,
    'timeout-ms': options.timeoutMs,
    rate,
    arrivals,
    'max-connections': options.maxConnections,
    seed,
    requests,
    histogram: true,
    'stdin-stops': true,
    'echo-port': echo?.port ?? 0,
  } as const;
  return startLoad(flags, onGenerator(pinned));
}

/** Runs one after another until done or interrupted. */
class Measurement {
  interrupted = false;
  readonly runs: BenchRun[] = [];
  private readonly options: BenchOptions;
  private readonly setting: Setting;
  private current: ChildProcess | null = null;

  constructor(options: BenchOptions, setting: Setting) {
    this.options = options;
    this.setting = setting;
  }

  /** The first call stops the current run and keeps it, marked as partial; the second kills it. */
  readonly interrupt = (): void => {
    if (this.interrupted) this.current?.kill('SIGKILL');
    else {
      this.current?.endInput();
      void this.current?.finished(STOP_GRACE_MS);
    }
    this.interrupted = true;
  };

  async measure(progress: Progress, onRun: (run: BenchRun) => void): Promise<void> {
    const { clients, repeat } = this.options;
    for (let turn = 1; turn <= repeat; turn++) {
      for (const count of clients) {
        if (this.interrupted) return;
        progress.run(`${count} clients${repeat > 1 ? `, repeat ${turn} of ${repeat}` : ''}`);
        const run = await this.one(count, turn);
        progress.ended();
        if (run === null) return;
        if (turn === 1) Object.assign(run, await this.checked(run, count));
        this.runs.push(run);
        onRun(run);
      }
    }
  }

  private async checked({ response }: BenchRun, clients: number): Promise<Pick<BenchRun, 'selfCheck'>> {
    const { echo, pinned } = this.setting;
    const { mode, rate, requests } = this.options;
    if (echo === null || this.interrupted) return {};
    const load = { ...this.options, clients, rate: mode === 'open' ? rate : null, shape: 'even' as const };
    return {
      selfCheck: await selfCheck(
        { ...load, requests: Math.max(1, requests) },
        response.p50Ms,
        echo,
        onGenerator(pinned),
      ),
    };
  }

  private async one(clients: number, repeat: number): Promise<BenchRun | null> {
    const { mode, seed, rate, arrivals } = this.options;
    const target = targetText(this.options.target);
    this.current = startGenerator(this.options, clients, this.setting);
    try {
      const result = await this.current.result<LoadResult>();
      const generatorCpus = this.setting.pinned?.generator ?? null;
      return {
        ...result,
        target,
        repeat,
        seed,
        generatorCpus,
        ...(mode === 'open' ? { rate, arrivals } : {}),
      };
    } catch (error) {
      if (this.interrupted) return null; // killed by interrupt()
      throw error;
    } finally {
      this.current = null;
    }
  }
}

function sinksOf({ json, csv }: BenchOptions): { write: (run: BenchRun) => void; close: () => void } {
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

/** Writes what needs all runs, and returns the exit code. */
function conclude({ runs, interrupted }: Measurement, options: BenchOptions): number {
  const { json, csv, hgrm: hgrmTo, thresholds, clients, repeat } = options;
  const points = pointsOf(runs);
  if (hgrmTo !== undefined) {
    for (const point of points) writePoint(hgrmTo, point.clients, clients.length, hgrm(point.times));
  }
  if (![json, csv, hgrmTo].includes(STDOUT)) process.stdout.write(report(points, options));
  for (const warning of warnings(points)) printError(`warning: ${warning}`);
  const failed = points.flatMap((point) => thresholdFailures(point, thresholds));
  for (const failure of failed) printError(failure);
  if (interrupted) {
    printError(`interrupted: partial, ${runs.length} of ${clients.length * repeat} runs were begun`);
    return EXIT.interrupted;
  }
  if (failed.length > 0) return EXIT.threshold;
  return points.some((point) => point.errorTotal > 0) ? EXIT.errors : EXIT.done;
}

/** Returns the exit code. */
export async function runBench(asked: BenchOptions): Promise<number> {
  const options = { ...asked, target: await resolveLocalhost(asked.target) };
  const { clients, repeat, warmupMs, durationMs, requests, mode } = options;
  const pinned = options.pin ? pinning() : null;
  checkDescriptors(Math.max(...clients), descriptorLimit());
  const sinks = sinksOf(options);
  if (options.hgrm !== undefined) checkPoints('--hgrm', options.hgrm, clients);
  const bounded = requests === 0 || mode === 'burst';
  const plannedMs = warmupMs + START_MS + (bounded ? durationMs : 0);
  const progress = new Progress(clients.length * repeat, plannedMs);
  await using echo = warmupMs === 0 ? null : await startEcho(pinned === null ? {} : { cpus: pinned.server });
  const measurement = new Measurement(options, { echo, pinned });
  const forgetSignals = onStopSignal(measurement.interrupt);
  try {
    await measurement.measure(progress, sinks.write);
  } finally {
    progress.close();
    sinks.close();
    forgetSignals();
  }
  return conclude(measurement, options);
}
