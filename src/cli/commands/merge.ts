/**
 * The command line of `kecho-pool merge`.
 */
import type { Command } from 'commander';
import { type MergeOptions, runMerge } from '../../../bench/load/command/run-merge.ts';
import { toolCommand } from '../flags.ts';

const ENDING = `The table has the percentiles of all response times, and the sums of clients,
rates and errors. Files of different loads are refused. A warning names a
generator that was the bottleneck or did not begin together with the first.

Examples:
  $ npx kecho-pool bench --remote host:7000 --start-at @1769868000 --json a.json
                                  the same on another machine into b.json
  $ npx kecho-pool merge a.json b.json

Exit codes:
  0  done
  1  the generators have counted errors
  2  wrong usage`;

/** `run` is for tests. */
export function command(run: (options: MergeOptions) => Promise<number> = runMerge): Command {
  return toolCommand(
    {
      name: 'merge',
      description: 'Adds up the results of load generators that ran together.',
      argument: ['<files...>', 'what each has written with bench --json'],
      flags: {},
      ending: ENDING,
    },
    (_, files: string[]) => run({ files }),
  );
}
