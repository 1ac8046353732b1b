/**
 * Runs `kecho-pool bench` as a child process and reads its output, or measures with its options from this process.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import { Measurement } from '../../bench/load/command/measurement.ts';
import type { ErrorClass } from '../../bench/load/result.ts';
import { BenchLine, type BenchRun, type LoadResult } from '../../bench/load/schema.ts';
import { command } from '../../src/cli/commands/bench.ts';
import { BIN, Child } from './child.ts';
import { expectForm } from './form.ts';
import { parsed } from './parsed.ts';

const GENERATOR = fileURLToPath(new URL('../../bench/load/main.ts', import.meta.url));

export function startBench(args: readonly string[]): Child {
  return new Child(process.execPath, [BIN, 'bench', ...args]);
}

/** Runs it until it exits. */
export async function bench(...args: readonly string[]): Promise<Child & { code: number | null }> {
  const child = startBench(args);
  const { code } = await child.untilEnded();
  return Object.assign(child, { code });
}

/** The lines of `--json` on standard output, checked against the published schema. */
export function runsOf({ stdout }: Pick<Child, 'stdout'>): BenchRun[] {
  const runs = stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as BenchRun);
  for (const run of runs) expectForm(BenchLine, run);
  return runs;
}

/** The result of one measurement without warm-up, by the options of `bench`. Starts the generator only. */
export async function measured(...args: readonly string[]): Promise<{ run: BenchRun }> {
  const measurement = await Measurement.prepare(parsed(command, ['--warmup', '0', ...args]));
  await measurement.measure();
  const [run] = measurement.runs;
  if (run === undefined) throw new Error('no result');
  expectForm(BenchLine, run);
  return { run };
}

/** Starts the generator directly: half a second, without warm-up. */
export function startGenerator(...args: readonly string[]): Child {
  return new Child(process.execPath, [GENERATOR, '--warmup-ms', '0', '--duration-ms', '500', ...args]);
}

/** Runs it until it exits. */
export async function generate(...args: readonly string[]): Promise<{ run: LoadResult }> {
  const child = startGenerator(...args);
  await child.untilEnded();
  if (child.stdout === '') throw new Error(`no result: ${child.stderr}`);
  return { run: JSON.parse(child.stdout) as LoadResult };
}

/** Expects exactly `count` errors, all of this class. */
export function expectErrors({ run }: { run: BenchRun }, kind: ErrorClass, count: number): void {
  const found = Object.entries(run.errors).filter(([, n]) => n > 0);
  expect(found, run.errorDetails.join('; ')).toEqual([[kind, count]]);
  expect(run.errorTotal).toBe(count);
}

/** The running child processes of `pid`. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid);
}

function parentOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return null; // it has exited
  }
}
