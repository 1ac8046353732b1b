/**
 * How many workers a handler takes, and whether it computes or sleeps. Pure.
 *
 * Two figures tell sleeping from computing: the CPU time of a request against its time in a worker, and how many workers
 * cmwq had busy, which starts more than there are processors only for items that sleep. Either may settle it: on a busy
 * machine the time in a worker is mostly waiting for a processor.
 */
import type { Cell, ExperimentInfo, Results, TimelineSample } from '../compare/types.ts';
import { median } from '../stats/summary.ts';
import { figure } from './format.ts';
import { cellsAt, hasFailed, loadOf, measuredPlaces, type Place } from './places.ts';

/** At least this share of a timeline with all workers busy and connections waiting: the workers are the limit. */
const LIMITED_SHARE = 0.5;
/** A rate that is higher by less needs no other number of workers. */
const WORTHWHILE = 1.1;
/** From this share of the time in a worker on, CPU time makes a handler one that computes. */
const COMPUTING_SHARE = 0.5;

/** Only some places have timelines. */
function samplesOf({ timelines }: Results, { experiment, point }: Place, label: string): TimelineSample[] {
  const found = timelines.find(
    (line) => line.experiment === experiment.name && line.point === point.key && line.label === label,
  );
  return found?.samples ?? [];
}

/** The number of workers, if they are the limit. */
function limitingWorkers(results: Results, place: Place, label: string): number | null {
  const samples = samplesOf(results, place, label);
  const limited = samples.filter(({ queued, idleWorkers }) => (queued ?? 0) > 0 && idleWorkers === 0);
  if (limited.length === 0 || limited.length < LIMITED_SHARE * samples.length) return null;
  return median(limited.map(({ busyWorkers }) => busyWorkers ?? 0)) || null;
}

const HAS_WORK = /--(?:service|handler)(?:[ =]|$)/;

/**
 * Whether requests are more than echoes, which a worker answers faster than it gets the next one. Where the handler is the
 * experiment's own, other clients use the workers, too, and are in no rate.
 */
function hasWork({ contestants }: Results, { args = [] }: ExperimentInfo, label: string): boolean {
  if (args.includes('--handler')) return false;
  const command = contestants.find((contestant) => contestant.label === label)?.command ?? '';
  return HAS_WORK.test([command, ...args].join(' '));
}

/** Processors of the servers. */
function processors({ environment, pinned, serverHost }: Results): number {
  return pinned?.server.length ?? (serverHost?.environment ?? environment).availableParallelism;
}

/** Busy workers of cmwq, while there were more clients than processors: how many it needed, usually and at most. */
interface Needed {
  usual: number;
  most: number;
}

function neededByCmwq(results: Results, place: Place): Needed | null {
  if (place.point.clients <= processors(results)) return null;
  const busy = samplesOf(results, place, 'cmwq').flatMap(({ busyWorkers }) => busyWorkers || []);
  return busy.length === 0 ? null : { usual: median(busy), most: Math.max(...busy) };
}

function cpuMs({ metrics }: Cell): number {
  return (metrics.cpuPerRequestUs?.median ?? 0) / 1000;
}

function rateOf({ metrics }: Cell): number {
  return metrics.perSecond?.median ?? 0;
}

function computes(results: Results, cell: Cell, itemMs: number, needed: Needed | null): boolean {
  return (needed?.usual ?? Infinity) <= processors(results) || cpuMs(cell) >= COMPUTING_SHARE * itemMs;
}

/** What the work of a comparison does, by cmwq at the first load that tells; null when none does, or there is no work. */
export function kindOfWork(results: Results): 'computes' | 'sleeps' | null {
  for (const place of measuredPlaces(results)) {
    const cell = cellsAt(results, place).find(({ label }) => label === 'cmwq');
    if (cell === undefined || !hasWork(results, place.experiment, 'cmwq')) continue;
    const needed = neededByCmwq(results, place);
    const isAlone = place.point.clients <= processors(results);
    // With at most a client for each processor none waits for another, and a response takes as long as its item.
    const itemMs = isAlone ? cell.metrics.averageMs?.median : needed && (needed.usual / rateOf(cell)) * 1000;
    if (!itemMs || !Number.isFinite(itemMs) || cpuMs(cell) === 0) continue;
    return computes(results, cell, itemMs, needed) ? 'computes' : 'sleeps';
  }
  return null;
}

interface Limited {
  cell: Cell;
  workers: number;
}

/** Of the servers that would gain from the best rate, the one with most workers: it tells most about a request. */
function limitedAt(results: Results, place: Place, bestRate: number): Limited | undefined {
  return cellsAt(results, place)
    .flatMap((cell): Limited[] => {
      const workers = hasWork(results, place.experiment, cell.label)
        ? limitingWorkers(results, place, cell.label)
        : null;
      const isLimited = workers !== null && rateOf(cell) > 0 && bestRate >= WORTHWHILE * rateOf(cell);
      return isLimited ? [{ cell, workers }] : [];
    })
    .toSorted((a, b) => b.workers - a.workers)[0];
}

/** Little's law: workers that are always busy, by the rate, are the time of an item; that time by a rate, workers. */
export function sizingAt(results: Results, place: Place): string[] {
  const best = cellsAt(results, place)
    .filter((cell) => !hasFailed(cell))
    .toSorted((a, b) => rateOf(b) - rateOf(a))[0];
  const found = best === undefined ? undefined : limitedAt(results, place, rateOf(best));
  if (best === undefined || found === undefined) return [];
  const { cell, workers } = found;
  const itemMs = (workers / rateOf(cell)) * 1000;
  const needed = neededByCmwq(results, place);
  const { clients } = place.point;
  const load = loadOf(place.point);
  const connected =
    cell.errors.timeout > 0
      ? [
          `${load}: clients timed out under ${cell.label}. If yours stay connected, a workqueue needs a worker for each, here ${clients}, whatever the handler does.`,
        ]
      : [];
  if (cpuMs(cell) === 0) return connected; // not measured: unknown whether it sleeps
  const text = computes(results, cell, itemMs, needed)
    ? computesText(results, cell, needed)
    : sleepsText(found, best, itemMs, needed);
  return [`${load}: ${text}`, ...connected];
}

function computesText(results: Results, cell: Cell, needed: Needed | null): string {
  const seen =
    needed !== null && needed.usual <= processors(results)
      ? `; cmwq usually has ${figure(needed.usual)} workers busy`
      : '';
  return `the handler computes (${figure(cpuMs(cell))} ms of CPU per request${seen}), so more workers than processors (${processors(results)}) do not raise the rate.`;
}

function sleepsText({ cell, workers }: Limited, best: Cell, itemMs: number, needed: Needed | null): string {
  const byLaw = Math.ceil((rateOf(best) * itemMs) / 1000);
  const share = `${figure(workers)} of them, always busy, answer ${figure(rateOf(cell))} requests per s, so each request takes a worker ${figure(itemMs)} ms, mostly asleep`;
  const start = `the workers limit ${cell.label}. ${share}; the ${figure(rateOf(best))} per s of ${best.label} take`;
  return needed !== null && needed.most < byLaw
    ? `${start} some ${figure(needed.most)} workers, the most that cmwq had busy.`
    : `${start} at least ${figure(byLaw)} workers (${figure(rateOf(best))} per s x ${figure(itemMs)} ms).`;
}
