/**
 * By when the monitor must have acted, however unfortunately its looks fall.
 */
import type { SimOptions } from '../../bench/sim/world.ts';

type MonitorTimes = Pick<SimOptions, 'threshMs' | 'hangTimeoutMs' | 'lookLateMs'>;

/** As in src/memory/monitor.ts: limits of the interval of looks, and its part of the limits in the options. */
const LOOK_MIN_MS = 1;
const LOOK_MAX_MS = 5;
const LOOKS_PER_THRESH = 2;
const LOOKS_PER_HANG = 10;
const SHORT_ITEMS_FACTOR = 2;

/**
 * By when the monitor has acted on what an item does: a look just misses it, the next one sees the item, or its new
 * state, for the first time, and the one after that compares.
 */
export function noticeLimitMs({ threshMs, hangTimeoutMs, lookLateMs }: MonitorTimes): number {
  const parts = [LOOK_MAX_MS];
  if (threshMs > 0) parts.push(threshMs / LOOKS_PER_THRESH);
  if (hangTimeoutMs > 0) parts.push(hangTimeoutMs / LOOKS_PER_HANG);
  const lookMs = SHORT_ITEMS_FACTOR * Math.max(LOOK_MIN_MS, Math.min(...parts));
  return 2 * (lookMs + lookLateMs);
}

/** How long an item may run before the monitor takes it out of the count. */
export function runLimitMs(options: MonitorTimes & Pick<SimOptions, 'canObserve'>): number {
  const { threshMs, canObserve, lookLateMs } = options;
  if (threshMs === 0) return Number.POSITIVE_INFINITY;
  const limitMs = threshMs + noticeLimitMs(options);
  // A blind monitor counts less than the time between two late looks, but LOOK_MIN_MS at least: see RunningTime.
  return canObserve ? limitMs : limitMs * (1 + lookLateMs / LOOK_MIN_MS);
}
