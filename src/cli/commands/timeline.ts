/**
 * The command line of `kecho-pool timeline`: scenarios of the kernel's document, or the user's own services with the
 * server's strategy options.
 */
import type { Command } from 'commander';
import { runTimelines, type TimelineOptions } from '../../../bench/timeline/run-timelines.ts';
import { SCENARIO_NAMES, SCENARIOS, type Scenario } from '../../../bench/timeline/scenarios.ts';
import {
  OPTION_SPECS,
  resolveOptions,
  STRATEGIES,
  type StrategyName,
  specOf,
  UsageError,
} from '../../options/index.ts';
import { destination, names } from '../../options/values.ts';
import { type Gathered, gatherOptions } from '../environment.ts';
import { flag, toolCommand, type ValuesOf } from '../flags.ts';
import { TIMES } from '../help.ts';
import { serverFlags } from '../server-options.ts';

/** cmwq creates its workers on demand, a few in each round. */
const CMWQ_WARM_UPS = 3;
const SPECS = OPTION_SPECS.filter(({ group, key }) => group === 'Strategy' && key !== 'strategy');
const { short, flag: long, defaultText } = specOf('strategy');

const FLAGS = {
  strategy: flag(
    `-${short}, --${long} <names>`,
    `strategies to draw one below the other, among ${STRATEGIES.join(', ')} (default: ${defaultText})`,
    names(STRATEGIES),
  ),
  only: flag(
    '--only <names>',
    `scenarios of the document to run: ${SCENARIO_NAMES.join(', ')} (default: all)`,
    names(SCENARIO_NAMES),
  ),
  svg: flag('--svg <file>', 'also draw into a file; - for standard output, instead of text', destination),
};

const DESCRIPTION = `Draws when each of several simultaneous requests (w0, w1, ...) burns CPU and when it sleeps, on a real server.

Without --service it runs the scenarios of the kernel's workqueue document, ten times as long, and prints measured \
times beside the document's. With --service, once for each handler, it runs your own. Under several strategies they are \
drawn on one time axis, and each strategy takes the options that it has.`;

const ENDING = `${TIMES}

Examples:
  $ kecho-pool timeline                         the document's scenarios
  $ kecho-pool timeline --only cmwq --svg cmwq.svg
  $ kecho-pool timeline --cpus 1 --service burn:9ms --service sleep:9ms
  $ kecho-pool timeline -s workqueue,cmwq --workers 1 \\
      --service burn:9ms,sleep:9ms --service burn:9ms

Exit codes:
  0  done
  1  a scenario deviated too far from the document three times, or the server
     failed
  2  wrong usage`;

/** The given services under one of the chosen strategies, with the options that it has. */
function ownScenario(
  name: StrategyName,
  chosen: readonly StrategyName[],
  { given, nameOf, writtenOf }: Gathered,
): Scenario {
  // An option that no chosen strategy has is left for resolveOptions() to refuse.
  const others = SPECS.filter(
    ({ key, only = chosen }) =>
      given[key] !== undefined && (only.includes(name) || !only.some((each) => chosen.includes(each))),
  );
  const own = Object.fromEntries(others.map(({ key }) => [key, given[key]]));
  const { strategy, service } = resolveOptions({ ...own, strategy: name }, nameOf, writtenOf);
  const args = others.flatMap((spec) => {
    const written = writtenOf(spec);
    if (spec.key === 'service') return [];
    if (typeof written === 'boolean') return [`--${written ? '' : 'no-'}${spec.flag}`];
    return [`--${spec.flag}`, String(written)];
  });
  return {
    title: [strategy, ...args].join(' '),
    args: ['--strategy', strategy, ...args],
    services: service,
    warmUps: strategy === 'cmwq' ? CMWQ_WARM_UPS : 1,
    wholeConnections: strategy !== 'cmwq',
  };
}

function read(
  { only, svg, strategy }: ValuesOf<typeof FLAGS>,
  flags: Record<string, unknown>,
): TimelineOptions {
  const { strategy: _, ...serverFlags } = flags;
  const gathered = gatherOptions(serverFlags, {});
  const { given, nameOf, writtenOf } = gathered;
  if (given.service === undefined) {
    const allowed = 'only with --service';
    if (strategy !== undefined) throw new UsageError(`--${long}`, strategy.join(), allowed);
    const spec = SPECS.find(({ key }) => given[key] !== undefined);
    if (spec !== undefined) throw new UsageError(nameOf(spec), writtenOf(spec), allowed);
    return { scenarios: SCENARIOS.filter(({ name }) => only?.includes(name) ?? true), svg };
  }
  if (only !== undefined) throw new UsageError('--only', only.join(), 'only without --service');
  const chosen = strategy ?? [resolveOptions({}).strategy];
  return { scenarios: chosen.map((name) => ownScenario(name, chosen, gathered)), svg };
}

/** `run` is for tests. */
export function command(run: (options: TimelineOptions) => Promise<number> = runTimelines): Command {
  return toolCommand(
    {
      name: 'timeline',
      description: DESCRIPTION,
      flags: FLAGS,
      serverOptions: SPECS.flatMap(serverFlags),
      ending: ENDING,
    },
    (given, _, all) => run(read(given, all)),
  );
}
