/**
 * The command line of `kecho-pool compare-host`, which `compare --on` starts through ssh.
 */
import type { Command } from 'commander';
import { runAgent } from '../../../bench/compare/host-agent.ts';
import { toolCommand } from '../flags.ts';

const ENDING = `It is not for the command line: compare --on starts it through ssh, and it ends with that connection.

Exit codes:
  0  done
  1  it was not started through ssh, or failed
  2  wrong usage`;

export function command(): Command {
  return toolCommand(
    {
      name: 'compare-host',
      description: 'Runs the servers of a comparison on another host.',
      flags: {},
      ending: ENDING,
    },
    runAgent,
  );
}
