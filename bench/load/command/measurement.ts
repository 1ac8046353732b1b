/**
 * The runs of one measurement, one after another: each run's load comes from a new process (../main.ts).
 *
 * Main thread; only waits. Owns the order of the runs and the running generator. Prints nothing and handles no signal,
 * as it also runs inside of other programs (../index.ts).
 */
import { setTimeout as pause } from 'node:timers/promises';
import { descriptorLimit } from '../../../src/sys/socket.ts';
import type { ChildProcess, Placement } from '../../child-process.ts';
import { type Pinning, pinning } from '../../pinning.ts';
import { selfCheck } from '../../self-check.ts';
import type { ServerUnderTest } from '../../server-under-test.ts';
import { type Live, liveOf } from '../live.ts';
import { checkDescriptors } from '../load-options.ts';
import type { BenchRun, Histograms, LoadResult } from '../schema.ts';
import { startEcho, startLoad } from '../start.ts';
import type { BenchOptions, Step } from './bench-options.ts';
import { rounded } from './formats.ts';
import { isFar, locate, roundTripMs } from './locate.ts';
import { ServerCpu } from './server-cpu.ts';
import { sinceEpochMs, targetText } from './values.ts';

/** Kills a generator that ignores the end of its input; normally it stops within one turn of its event loop. */
const STOP_GRACE_MS = 5_000;

export interface MeasurementEvents {
  /** A run begins. */
  begins?: (step: Step, repeat: number) => void;
  /** How it is going, a few times a second. */
  live?: (live: Live) => void;
  ended?: (run: BenchRun) => void;
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

export class Measurement {
  interrupted = false;
  readonly runs: BenchRun[] = [];
  readonly options: BenchOptions;
  /** To a target on another machine. */
  readonly roundTripMs: number | null;
  private readonly serverCpu: ServerCpu | null;
  private readonly pinned: Pinning | null;
  private readonly stop = new AbortController();
  private current: ChildProcess | null = null;

  private constructor(
    options: BenchOptions,
    serverCpu: ServerCpu | null,
    roundTrip: number | null,
    pinned: Pinning | null,
  ) {
    this.options = options;
    this.serverCpu = serverCpu;
    this.roundTripMs = roundTrip;
    this.pinned = pinned;
  }

  /** Resolves names and checks what can be checked before the first run. Throws UsageError. */
  static async prepare(asked: BenchOptions): Promise<Measurement> {
    const pinned = asked.pin ? pinning() : null;
    checkDescriptors(Math.max(...asked.steps.map(({ clients }) => clients)), descriptorLimit());
    const options = { ...asked, target: await locate(asked.target) };
    const serverCpu = options.serverAdmin === undefined ? null : new ServerCpu(options.serverAdmin);
    await serverCpu?.check();
    const roundTrip = isFar(options.target.address) ? roundTripMs(options.target) : null;
    return new Measurement(options, serverCpu, roundTrip, pinned);
  }

  /** The first call stops the current run and keeps it, marked as partial; the second kills it. */
  readonly interrupt = (): void => {
    if (this.interrupted) this.current?.kill('SIGKILL');
    else {
      this.current?.endInput();
      void this.current?.finished(STOP_GRACE_MS);
    }
    this.interrupted = true;
    this.stop.abort();
  };

  /** Runs until done or interrupted. */
  async measure(events: MeasurementEvents = {}): Promise<void> {
    const { steps, repeat, warmupMs } = this.options;
    const { pinned } = this;
    try {
      await using echo =
        warmupMs === 0 ? null : await startEcho(pinned === null ? {} : { cpus: pinned.server });
      await this.untilStart();
      for (let turn = 1; turn <= repeat; turn++) {
        for (const step of steps) {
          if (this.interrupted) return;
          events.begins?.(step, turn);
          const run = await this.one(step, turn, { echo, pinned }, events.live);
          if (run === null) return;
          if (turn === 1) Object.assign(run, rounded(await this.checked(run, step, { echo, pinned })));
          this.runs.push(run);
          events.ended?.(run);
        }
      }
    } finally {
      this.serverCpu?.close();
    }
  }

  private async untilStart(): Promise<void> {
    const { startAtMs = 0 } = this.options;
    const leftMs = () => startAtMs - sinceEpochMs();
    // A timer counts whole milliseconds, and may end one early.
    while (leftMs() > 0 && !this.interrupted)
      await pause(Math.ceil(leftMs()), undefined, { signal: this.stop.signal }).catch(() => {});
  }

  private async checked(
    { response }: BenchRun,
    { clients, rate }: Step,
    { echo, pinned }: Setting,
  ): Promise<Pick<BenchRun, 'selfCheck'>> {
    const { options } = this;
    const { mode, requests } = options;
    if (echo === null || this.interrupted) return {};
    const load = { ...options, clients, rate: mode === 'open' ? rate : null, shape: 'even' as const };
    const bounded = { ...load, requests: Math.max(1, requests) };
    return { selfCheck: await selfCheck(bounded, response.p50Ms, echo, onGenerator(pinned)) };
  }

  private async one(
    step: Step,
    repeat: number,
    setting: Setting,
    onLive?: (live: Live) => void,
  ): Promise<BenchRun | null> {
    const { options, serverCpu } = this;
    const startedAt = new Date(sinceEpochMs()).toISOString();
    const follow = (live: Live) => {
      serverCpu?.follow(live);
      onLive?.(live);
    };
    this.current = startGenerator(
      options,
      step,
      setting,
      serverCpu !== null || onLive !== undefined ? follow : null,
    );
    try {
      const result = await this.current.result<LoadResult & { histograms: Histograms }>();
      const cpu = (await serverCpu?.figures(result.windowMs, result.completed)) ?? {};
      return rounded({
        ...result,
        ...cpu,
        ...this.context(step),
        repeat,
        startedAt,
        generatorCpus: setting.pinned?.generator ?? null,
      });
    } catch (error) {
      if (this.interrupted) return null; // killed by interrupt()
      throw error;
    } finally {
      this.current = null;
    }
  }

  private context({ stage, rate, durationMs }: Step) {
    const { mode, target, arrivals, seed, requests } = this.options;
    return {
      target: targetText(target),
      seed,
      durationMs: requests > 0 && mode !== 'burst' ? 0 : durationMs,
      ...(stage === undefined ? {} : { stage }),
      ...(mode === 'open' ? { rate, arrivals } : {}),
      ...(this.roundTripMs === null ? {} : { roundTripMs: this.roundTripMs }),
    };
  }
}

/** With stdin-stops the generator cannot outlive this process, whose exit closes its standard input. */
function startGenerator(
  { target, mode, messageBytes, arrivals, seed, requests, warmupMs, timeoutMs, maxConnections }: BenchOptions,
  { clients, rate, durationMs }: Step,
  { echo, pinned }: Setting,
  onLive: ((live: Live) => void) | null,
): ChildProcess {
  const flags = {
    mode,
    address: target.address,
    port: target.port,
    remote: isFar(target.address),
    clients,
    bytes: messageBytes,
    'warmup-ms': warmupMs,
    'duration-ms': durationMs,
    'timeout-ms': timeoutMs,
    rate,
    arrivals,
    'max-connections': maxConnections,
    seed,
    requests,
    histogram: true,
    live: onLive !== null,
    'stdin-stops': true,
    'echo-port': echo?.port ?? 0,
  };
  return startLoad(flags, onGenerator(pinned), (line) => {
    const live = liveOf(line);
    if (live !== null) onLive?.(live);
  });
}
