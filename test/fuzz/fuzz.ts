/**
 * A whole run: scripts in batches against one server process, and after each batch the server's counters against the
 * model. Ends at the first failure, repeats the script alone, and shrinks it.
 */
import { performance } from 'node:perf_hooks';
import type { GivenOptions } from '../../src/options/index.ts';
import { disagreements, isSettled } from './counters.ts';
import { type BatchResult, type Failure, type LongestWait, runScripts, Target } from './loop.ts';
import { BLOCK, kindOf, makeScript, type Script } from './script.ts';
import { ServerProcess } from './server.ts';
import type { Figures } from './server-main.ts';
import { shrink } from './shrink.ts';

const SETTLE_TIMEOUT_MS = 60_000;
const LOOK_MS = 5;
/** Runs of a failed script alone before it counts as one that does not fail alone. */
const ALONE_RUNS = 20;
const ALONE_STALL_MS = 2000;

export interface FuzzOptions {
  /** The server: options of kecho-pool, or the name of a liar (liar-main.ts). */
  server: GivenOptions | string;
  seed: number;
  /** Index of the first script, and the number of scripts. */
  from: number;
  scripts: number;
  /** No batch begins after this time. */
  limitMs: number;
  concurrency: number;
  /** How long a script may make no progress. */
  stallMs: number;
  /** Time limit for repeating a failed script alone and shrinking it; 0 skips both. */
  shrinkMs: number;
  /** Sends urgent data. */
  urgent: boolean;
  onBatch?: (done: number, elapsedMs: number) => void;
}

export interface FuzzResult {
  scripts: number;
  elapsedMs: number;
  operations: Record<string, number>;
  sentBytes: number;
  receivedBytes: number;
  orderly: number;
  /** Echoes that the server had to keep for a slow reader. */
  spills: number;
  longest: LongestWait;
  failure: FuzzFailure | null;
}

export interface FuzzFailure {
  /** The failed script; null when the counters disagree after a batch. */
  failed: Failure | null;
  /** The batch it was in. */
  batch: { from: number; scripts: number };
  what: string;
  /** The smallest script found that fails alone, if any. */
  smallest: Script | null;
}

function settled(server: ServerProcess, before: Figures, scripts: number): Promise<Figures> {
  const deadlineMs = performance.now() + SETTLE_TIMEOUT_MS;
  const look = async (): Promise<Figures> => {
    const figures = (await server.figures()) as Figures; // the server reported figures before
    if (isSettled(figures, before, scripts) || performance.now() > deadlineMs) return figures;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    return look();
  };
  return look();
}

class Fuzz {
  readonly result: FuzzResult;
  private readonly options: FuzzOptions;
  private readonly server: ServerProcess;
  private readonly target: Target;

  constructor(options: FuzzOptions, server: ServerProcess) {
    this.options = options;
    this.server = server;
    this.target = new Target(server.port, options.scripts);
    this.result = {
      scripts: 0,
      elapsedMs: 0,
      operations: {},
      sentBytes: 0,
      receivedBytes: 0,
      orderly: 0,
      spills: 0,
      longest: { waitMs: 0, index: 0 },
      failure: null,
    };
  }

  async run(): Promise<void> {
    const { from, scripts, limitMs, onBatch } = this.options;
    const startMs = performance.now();
    for (let at = 0; at < scripts && this.result.failure === null; at += BLOCK) {
      if (this.result.elapsedMs > limitMs) return;
      await this.batch(from + at, Math.min(BLOCK, scripts - at));
      this.result.elapsedMs = performance.now() - startMs;
      onBatch?.(this.result.scripts, this.result.elapsedMs);
    }
  }

  private async batch(from: number, count: number): Promise<void> {
    const { seed, urgent, concurrency, stallMs } = this.options;
    const scripts = Array.from({ length: count }, (_, i) => makeScript(seed, from + i, urgent));
    const before = await this.server.figures();
    const batch = runScripts(this.target, scripts, concurrency, stallMs);
    this.count(scripts, batch);
    if (batch.failure !== null) {
      const smallest = await this.alone(batch.failure.script);
      const { what } = batch.failure;
      this.result.failure = { failed: batch.failure, batch: { from, scripts: count }, what, smallest };
    } else if (before !== null) await this.compare(before, batch, from);
  }

  private async compare(before: Figures, batch: BatchResult, from: number): Promise<void> {
    const after = await settled(this.server, before, batch.scripts);
    this.result.spills += after.stats.spills.total - before.stats.spills.total;
    const wrong = disagreements(before, after, batch);
    if (this.server.complaints !== '') wrong.push(`server output: ${this.server.complaints.trim()}`);
    if (wrong.length === 0) return;
    const what = `the server's counters: ${wrong.join('; ')}`;
    this.result.failure = { failed: null, batch: { from, scripts: batch.scripts }, what, smallest: null };
  }

  private count(scripts: readonly Script[], batch: BatchResult): void {
    const { result } = this;
    result.scripts += scripts.length;
    result.sentBytes += batch.sent;
    result.receivedBytes += batch.received;
    result.orderly += batch.orderly;
    if (batch.longest.waitMs > result.longest.waitMs) result.longest = batch.longest;
    for (const operation of scripts.flatMap((script) => script.operations)) {
      const kind = kindOf(operation);
      result.operations[kind] = (result.operations[kind] ?? 0) + 1;
    }
  }

  /** The smallest script found that fails without other connections. */
  private async alone(script: Script): Promise<Script | null> {
    const { shrinkMs } = this.options;
    const deadlineMs = performance.now() + shrinkMs;
    const fails = async (candidate: Script) => this.failsAlone(candidate, deadlineMs);
    try {
      return (await fails(script)) ? await shrink(script, fails) : null;
    } catch {
      return null; // the server may have died
    }
  }

  /** Several runs, as failures may depend on timing. */
  private failsAlone(script: Script, deadlineMs: number): boolean {
    const stallMs = Math.min(this.options.stallMs, ALONE_STALL_MS);
    for (let i = 0; i < ALONE_RUNS && performance.now() < deadlineMs; i++) {
      if (runScripts(this.target, [script], 1, stallMs).failure !== null) return true;
    }
    return false;
  }
}

export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const server =
    typeof options.server === 'string'
      ? await ServerProcess.liar(options.server)
      : await ServerProcess.echo(options.server);
  const run = new Fuzz(options, server);
  try {
    await run.run();
  } catch (error) {
    throw new Error(`${(error as Error).message} ${server.complaints}`.trim(), { cause: error });
  } finally {
    const ended = await server.stop();
    if (ended !== 0) server.complaints += `the server ended with ${ended}`;
  }
  if (server.complaints !== '' && run.result.failure === null) {
    const batch = { from: options.from, scripts: options.scripts };
    const what = `server output: ${server.complaints.trim()}`;
    run.result.failure = { failed: null, batch, what, smallest: null };
  }
  return run.result;
}
