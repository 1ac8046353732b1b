/**
 * What a report begins with when other programs used the processors. Pure.
 */
import type { EnvironmentInfo, Results } from '../compare/types.ts';
import { median } from '../stats/summary.ts';
import { listed } from './format.ts';

/** From this share of the rounds on that are disturbed and count, the machine was busy. */
const BUSY_SHARE = 0.25;

const ADVICE =
  'Times are longer for this alone, and clients may time out: compare again when the machine is quiet.';

type Load = Pick<EnvironmentInfo, 'loadAverage1Min' | 'availableParallelism'>;
interface Machines {
  environment: Load;
  serverHost?: { name: string; environment: Load } | undefined;
}

/** The load of each machine before the start. */
function loadsOf({ environment, serverHost }: Machines): { isBusy: boolean; text: string }[] {
  const loadOf = ({ loadAverage1Min: load, availableParallelism: count }: Load, whose: string) => ({
    isBusy: load > count,
    text: `${load.toFixed(1)} on ${count} processors${whose}`,
  });
  if (serverHost === undefined) return [loadOf(environment, '')];
  return [
    loadOf(environment, ' of the load generator'),
    loadOf(serverHost.environment, ` of ${serverHost.name}`),
  ];
}

function listedTexts(loads: ReturnType<typeof loadsOf>): string {
  return listed(loads.map(({ text }) => text));
}

/** Before a comparison; null if all machines are quiet. */
export function busyBefore(machines: Machines): string | null {
  const busy = loadsOf(machines).filter(({ isBusy }) => isBusy);
  if (busy.length === 0) return null;
  return `Other programs use the processors: load ${listedTexts(busy)} before the start. ${ADVICE}`;
}

/** After it: by the load before the start, and by the rounds. */
export function busyText(results: Results): string | null {
  const { disturbed, runs } = results;
  const rounds = new Set(runs.map(({ experiment, point, round }) => `${experiment}/${point}/${round}`)).size;
  const kept = disturbed.filter(({ repeated }) => !repeated);
  if (kept.length === 0 || kept.length < BUSY_SHARE * rounds) return busyBefore(results);
  const share = median(kept.map(({ stealShare, othersShare }) => Math.min(1, stealShare + othersShare)));
  return (
    `Other programs used the processors: ${kept.length} of ${rounds} rounds are disturbed and count, with ${Math.round(share * 100)} % ` +
    `of the processors for others (load before the start: ${listedTexts(loadsOf(results))}). ${ADVICE}`
  );
}
