/**
 * What a report begins with when other programs used the processors. Pure.
 */
import type { Results } from '../compare/types.ts';
import { median } from '../stats/summary.ts';

/** From this share of the rounds on that are disturbed and count, the machine was busy. */
const BUSY_SHARE = 0.25;

const ADVICE =
  'Times are longer for this alone, and clients may time out: compare again when the machine is quiet.';

/** Before a comparison; null on a quiet machine. */
export function busyBefore(loadAverage: number, processors: number): string | null {
  return loadAverage > processors
    ? `Other programs use the processors: load ${loadAverage.toFixed(1)} before the start, on ${processors} processors. ${ADVICE}`
    : null;
}

/** After it: by the load before the start, and by the rounds. */
export function busyText({ environment, disturbed, runs }: Results): string | null {
  const { loadAverage1Min: load, availableParallelism: processors } = environment;
  const rounds = new Set(runs.map(({ experiment, point, round }) => `${experiment}/${point}/${round}`)).size;
  const kept = disturbed.filter(({ repeated }) => !repeated);
  if (kept.length === 0 || kept.length < BUSY_SHARE * rounds) return busyBefore(load, processors);
  const share = median(kept.map(({ stealShare, othersShare }) => Math.min(1, stealShare + othersShare)));
  return (
    `Other programs used the processors: ${kept.length} of ${rounds} rounds are disturbed and count, with ${Math.round(share * 100)} % ` +
    `of the processors for others (load before the start: ${load.toFixed(1)} on ${processors}). ${ADVICE}`
  );
}
