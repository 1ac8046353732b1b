/** The report of a soak test as lines of text. Pure. */
import type { EnvironmentInfo } from '../../compare/types.ts';
import { environmentLines } from '../../environment.ts';
import { HAS_BROWSER } from '../watchers.ts';
import { PROFILES } from './profiles.ts';
import { type Slope, scaled } from './slope.ts';
import type { SoakOptions } from './soak-options.ts';
import { KINDS, type PartResult, type Sample } from './types.ts';
import { type Growth, growthOf, type Verdict, warmupMs } from './verdict.ts';

const ROWS = 10;
const MIB = 1 << 20;
const KIB_PER_MIB = 1024;

function seconds(ms: number): string {
  return `${Number((ms / 1000).toFixed(1))} s`;
}

/** All columns aligned right. */
function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  return rows.map((row) => `  ${row.map((text, i) => text.padStart(widths[i] ?? 0)).join('  ')}`);
}

/** About ten samples, the last among them. */
function chosen(samples: readonly Sample[]): Sample[] {
  const rows = Math.min(ROWS, samples.length);
  return Array.from(
    { length: rows },
    (_, i) => samples[Math.ceil(((i + 1) * samples.length) / rows) - 1] as Sample,
  );
}

const HEADINGS = ['at s', 'connections', 'per s', 'echoes', 'MiB echoed', 'active', 'queued', 'spills'];

function sampleTable(samples: readonly Sample[]): string[] {
  let before: Pick<Sample, 'atMs' | 'accepted'> = { atMs: 0, accepted: 0 };
  const rows = chosen(samples).map((sample) => {
    const perSecond = ((sample.accepted - before.accepted) * 1000) / (sample.atMs - before.atMs);
    before = sample;
    return [
      (sample.atMs / 1000).toFixed(1),
      String(sample.accepted),
      perSecond.toFixed(0),
      String(sample.echoes),
      (sample.bytes / MIB).toFixed(0),
      String(sample.active),
      String(sample.queued),
      String(sample.spillsInUse),
      String(sample.descriptors),
      String(sample.threads),
      (sample.residentKib / KIB_PER_MIB).toFixed(1),
      String(sample.mappings),
    ];
  });
  return table([[...HEADINGS, 'descriptors', 'threads', 'RSS MiB', 'mappings'], ...rows]);
}

function slopeText(slope: Slope | null): string {
  if (slope === null) return 'too few samples';
  const { slope: middle, low, high } = slope;
  const digits = Math.max(Math.abs(low), Math.abs(high)) >= 100 ? 0 : 2;
  return `${middle.toFixed(digits)} (${low.toFixed(digits)} to ${high.toFixed(digits)})`;
}

/** The unit of shared memory that grows with the load: a spill buffer. */
const SPILL_MIB = 1 / 16;

function growthLines(growth: Growth, durationMs: number): string[] {
  const spillMib = growth.spills === null ? null : scaled(growth.spills, SPILL_MIB);
  return [
    `  growth after ${seconds(warmupMs(durationMs))} of warm-up, least squares on medians of neighbouring samples, with 95 % intervals:`,
    `    RSS          ${slopeText(growth.residentMibPer100k)} MiB per 100,000 connections, from ${growth.connections}`,
    `    RSS          ${slopeText(growth.residentMib)} MiB per hour`,
    `    mappings     ${slopeText(growth.mappingsPer100k)} per 100,000 connections`,
    `    descriptors  ${slopeText(growth.descriptors)} per hour`,
    `    threads      ${slopeText(growth.threads)} per hour`,
    `    spills       ${slopeText(spillMib)} MiB of shared memory per hour`,
    `    connections  active ${slopeText(growth.active)}, queued ${slopeText(growth.queued)} per hour`,
  ];
}

function loadLines({ counts, figures, deathsOrdered, deathsPutOff, statsLines }: PartResult): string[] {
  const kinds = KINDS.map((kind) => `${kind} ${counts.completed[kind]}`).join(', ');
  const putOff = deathsPutOff === 0 ? '' : `, ${deathsPutOff} put off (not settled in time)`;
  const ports = counts.portsTaken === 0 ? '' : `; ${counts.portsTaken} connects tried again (port taken)`;
  return [
    `  done: ${kinds}${ports}`,
    `  deaths: ${deathsOrdered} workers killed${putOff}, ${figures.workerDied} connections lost with them; echoes that waited for a slow reader: ${figures.spillsTotal}`,
    `  SIGUSR2: ${statsLines} stats lines requested, ${statsLines} logged`,
    ...counts.details.map((detail) => `  seen: ${detail}`),
  ];
}

export function verdictLines(verdicts: readonly Verdict[]): string[] {
  return verdicts.map(({ outcome, what }) => `  ${outcome.padEnd(4)}  ${what}`);
}

export function partReport(result: PartResult, verdicts: readonly Verdict[]): string[] {
  const { strategy, durationMs, samples } = result;
  const lanes = KINDS.map((kind) => `${kind} ${PROFILES[strategy].lanes[kind]}`).join(', ');
  return [
    `${strategy}: ${seconds(durationMs)}, ${samples.length} samples; connections at a time: ${lanes}`,
    ...sampleTable(samples),
    ...growthLines(growthOf(result), durationMs),
    ...loadLines(result),
    ...verdictLines(verdicts),
    '',
  ];
}

export function headReport(
  env: EnvironmentInfo,
  { minutes, seed, watched }: Pick<SoakOptions, 'minutes' | 'seed' | 'watched'>,
): string[] {
  const browser = HAS_BROWSER ? 'a browser, ' : '';
  return [
    `soak test of kecho-pool: ${minutes} minutes of load, seed ${seed}`,
    ...(watched ? [`watched by ${browser}top and /metrics clients; resident memory is judged at rest`] : []),
    'server and load are separate processes on the same cores',
    ...environmentLines([], env),
    '',
  ];
}
