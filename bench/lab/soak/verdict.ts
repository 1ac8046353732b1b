/** From a part's samples to growth, PASS or FAIL. Pure. */
import { type Slope, scaled, slopeOf } from './slope.ts';
import type { PartResult, Sample } from './types.ts';

export type Outcome = 'PASS' | 'FAIL' | 'too short to tell';

export interface Verdict {
  outcome: Outcome;
  what: string;
}

/** Limit of the growth of resident memory per 100,000 connections. */
export const GROWTH_LIMIT_MIB = 1;
const CONNECTIONS_UNIT = 100_000;
/** The same for mappings, of which a process may have 65,530: a server that leaks some per thread dies of it. */
const MAPPINGS_LIMIT = 1000;
/** Mappings that come and go with the current threads. */
const MAPPINGS_NOISE = 500;
/**
 * Resident memory is not judged on fewer connections after the warm-up. Some memory is paid once, but gradually: each
 * descriptor number has its spill buffer, so under cmwq the buffers of all numbers in use become resident in the first
 * minutes (up to 12 MiB here), which looks like a leak until it stops.
 */
export const CONNECTIONS_MIN = 300_000;
const WARMUP_MIN_MS = 10_000;
const HOUR_MS = 3_600_000;
const KIB_PER_MIB = 1024;

/** The first quarter, at least 10 s, but never more than half. */
export function warmupMs(durationMs: number): number {
  return Math.max(durationMs / 4, Math.min(WARMUP_MIN_MS, durationMs / 2));
}

/** How fast the server's resources grow after the warm-up. Null where there are too few samples. */
export interface Growth {
  /** Connections after the warm-up. */
  connections: number;
  /** Per hour. */
  descriptors: Slope | null;
  threads: Slope | null;
  residentMib: Slope | null;
  spills: Slope | null;
  active: Slope | null;
  queued: Slope | null;
  /** Resident memory in MiB per 100,000 connections. */
  residentMibPer100k: Slope | null;
  /** Mappings per 100,000 connections. */
  mappingsPer100k: Slope | null;
}

/** Resident memory grows from rest to rest, if the load has rests. */
export function growthOf({
  samples,
  rests,
  durationMs,
}: Pick<PartResult, 'samples' | 'rests' | 'durationMs'>): Growth {
  const afterWarmUp = ({ atMs }: Sample) => atMs >= warmupMs(durationMs);
  const after = samples.filter(afterWarmUp);
  const forMemory = rests.length > 0 ? rests.filter(afterWarmUp) : after;
  const per = (x: (sample: Sample) => number, y: (sample: Sample) => number, factor: number, of = after) => {
    const slope = slopeOf(of.map(x), of.map(y));
    return slope === null ? null : scaled(slope, factor);
  };
  const time = ({ atMs }: Sample) => atMs;
  const accepted = (sample: Sample) => sample.accepted;
  const mib = ({ residentKib }: Sample) => residentKib / KIB_PER_MIB;
  return {
    connections: (after.at(-1)?.accepted ?? 0) - (after[0]?.accepted ?? 0),
    descriptors: per(time, (sample) => sample.descriptors, HOUR_MS),
    threads: per(time, (sample) => sample.threads, HOUR_MS),
    residentMib: per(time, mib, HOUR_MS, forMemory),
    spills: per(time, (sample) => sample.spillsInUse, HOUR_MS),
    active: per(time, (sample) => sample.active, HOUR_MS),
    queued: per(time, (sample) => sample.queued, HOUR_MS),
    residentMibPer100k: per(accepted, mib, CONNECTIONS_UNIT, forMemory),
    mappingsPer100k: per(accepted, (sample) => sample.mappings, CONNECTIONS_UNIT),
  };
}

function verdict(passes: boolean, what: string): Verdict {
  return { outcome: passes ? 'PASS' : 'FAIL', what };
}

function bytesVerdict({ counts }: PartResult): Verdict {
  const { bytes, wrong, cutShort, refused, stalled } = counts;
  const bad = wrong + cutShort + refused + stalled;
  const faults =
    bad === 0
      ? ''
      : `; connections with a wrong byte ${wrong}, cut short ${cutShort}, refused ${refused}, stalled ${stalled}`;
  return verdict(bad === 0 && bytes > 0, `every byte right: ${bytes} bytes compared${faults}`);
}

/** Judged by the interval if it lies on one side of the limit, else by the slope unless it is wider than the limit. */
function growthVerdict({ residentMibPer100k: growth, connections }: Growth): Verdict {
  const limit = `${GROWTH_LIMIT_MIB} MiB per 100,000 connections`;
  if (growth === null || connections < CONNECTIONS_MIN) {
    const few = `${connections} connections after the warm-up, ${CONNECTIONS_MIN} needed`;
    const why = connections < CONNECTIONS_MIN ? few : 'too few samples';
    return { outcome: 'too short to tell', what: `RSS grows by less than ${limit}: ${why}` };
  }
  const [slope, low, high] = [growth.slope, growth.low, growth.high].map((value) => value.toFixed(3));
  const text = `RSS grows by less than ${limit}: ${slope} (${low} to ${high})`;
  const oneSided = growth.high < GROWTH_LIMIT_MIB || growth.low >= GROWTH_LIMIT_MIB;
  if (!oneSided && growth.high - growth.low > GROWTH_LIMIT_MIB) {
    return { outcome: 'too short to tell', what: text };
  }
  return verdict(growth.slope < GROWTH_LIMIT_MIB, text);
}

/** Judged once the interval lies on one side of the limit; growth must also exceed the noise. */
function mappingsVerdict({ mappingsPer100k: growth, connections }: Growth): Verdict {
  const limit = `mappings of memory grow by less than ${MAPPINGS_LIMIT} per 100,000 connections`;
  if (growth === null) return { outcome: 'too short to tell', what: limit };
  const [slope, low, high] = [growth.slope, growth.low, growth.high].map((value) => value.toFixed(0));
  const what = `${limit}: ${slope} (${low} to ${high})`;
  if (growth.high < MAPPINGS_LIMIT) return { outcome: 'PASS', what };
  const grows =
    growth.low >= MAPPINGS_LIMIT && (growth.low * connections) / CONNECTIONS_UNIT > MAPPINGS_NOISE;
  return { outcome: grows ? 'FAIL' : 'too short to tell', what };
}

/** The verdicts on one part, in the order in which they are printed. */
export function verdictsOn(result: PartResult): Verdict[] {
  const { start, end, counts, figures, ended } = result;
  const grown = end.descriptors > start.descriptors || end.threads > start.threads;
  const growth = growthOf(result);
  const inUse = end.active + end.queued + end.spillsInUse;
  return [
    bytesVerdict(result),
    verdict(
      !grown,
      `no growth at the end: descriptors ${start.descriptors} before, ${end.descriptors} after; threads ${start.threads} before, ${end.threads} after`,
    ),
    growthVerdict(growth),
    mappingsVerdict(growth),
    verdict(
      inUse === 0,
      `nothing in use at the end: connections ${end.active}, queued ${end.queued}, spills ${end.spillsInUse}`,
    ),
    verdict(
      counts.lost === figures.workerDied,
      `only dead workers lost connections: ${counts.lost} lost, ${figures.workerDied} by the server's count, ${figures.deaths} deaths`,
    ),
    verdict(ended === 'exit code 0', `SIGTERM ends the server with exit code 0: ${ended}`),
  ];
}
