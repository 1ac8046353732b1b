/**
 * The command line of `kecho-pool timeline`: scenarios of the kernel's document, or the user's own services with the
 * server's strategy options.
 */
import type { Command } from 'commander';
import { runTimelines, type TimelineOptions } from '../../../bench/timeline/run-timelines.ts';
import { SCENARIO_NAMES, SCENARIOS, type Scenario } from '../../../bench/timeline/scenarios.ts';
import { OPTION_SPECS, resolveOptions, UsageError } from '../../options/index.ts';
import { destination, names } from '../../options/values.ts';
import { gatherOptions } from '../environment.ts';
import { flag, toolCommand, type ValuesOf } from '../flags.ts';
import { TIMES } from '../help.ts';
import { serverFlags } from '../server-options.ts';

/** cmwq creates its workers on demand, a few in each round. */
const CMWQ_WARM_UPS = 3;
const STRATEGY_SPECS = OPTION_SPECS.filter(({ group }) => group === 'Strategy');

const FLAGS = {
  only: flag(
    '--only <names>',
    `scenarios of the document to run: ${SCENARIO_NAMES.join(', ')} (default: all)`,
    names(SCENARIO_NAMES),
  ),
  svg: flag('--svg <file>', 'also draw into a file; - for standard output, instead of text', destination),
};

const DESCRIPTION = `Draws when each worker of a real server burns CPU and when it sleeps, while it handles simultaneous requests.

Without --service it runs the scenarios of the kernel's workqueue document, ten times as long, and prints measured \
times beside the document's. With --service, once for each handler, it runs your own, under any strategy.`;

const ENDING = `${TIMES}

Examples:
  $ npx kecho-pool timeline                     the document's scenarios
  $ npx kecho-pool timeline --only cmwq --svg cmwq.svg
  $ npx kecho-pool timeline --cpus 1 --service burn:9ms --service sleep:9ms
  $ npx kecho-pool timeline -s kthread --service burn:20ms --service sleep:40ms

Exit codes:
  0  done
  1  a scenario deviated too far from the document three times, or the server
     failed
  2  wrong usage`;

function read({ only, svg }: ValuesOf<typeof FLAGS>, flags: Record<string, unknown>): TimelineOptions {
  const { given, nameOf, writtenOf } = gatherOptions(flags, {});
  const specs = STRATEGY_SPECS.filter(({ key }) => given[key] !== undefined && key !== 'service');
  if (given.service === undefined) {
    const [spec] = specs;
    if (spec !== undefined) throw new UsageError(nameOf(spec), writtenOf(spec), 'only with --service');
    return { scenarios: SCENARIOS.filter(({ name }) => only?.includes(name) ?? true), svg };
  }
  if (only !== undefined) throw new UsageError('--only', only.join(), 'only without --service');
  const { strategy } = resolveOptions(given, nameOf, writtenOf);
  const others = specs.filter(({ key }) => key !== 'strategy');
  const args = others.flatMap((spec) => {
    const written = writtenOf(spec);
    if (typeof written === 'boolean') return [`--${written ? '' : 'no-'}${spec.flag}`];
    return [`--${spec.flag}`, String(written)];
  });
  const scenario: Scenario = {
    title: [strategy, ...args].join(' '),
    args: ['--strategy', strategy, ...args],
    services: given.service,
    warmUps: strategy === 'cmwq' ? CMWQ_WARM_UPS : 1,
    wholeConnections: strategy !== 'cmwq',
  };
  return { scenarios: [scenario], svg };
}

/** `run` is for tests. */
export function command(run: (options: TimelineOptions) => Promise<number> = runTimelines): Command {
  return toolCommand(
    {
      name: 'timeline',
      description: DESCRIPTION,
      flags: FLAGS,
      serverOptions: STRATEGY_SPECS.flatMap(serverFlags),
      ending: ENDING,
    },
    (given, _, all) => run(read(given, all)),
  );
}
