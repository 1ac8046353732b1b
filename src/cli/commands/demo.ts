/**
 * The command line of `kecho-pool demo`.
 */
import type { Command } from 'commander';
import { ANSWERS_PER_VISIT, BETWEEN_ANSWERS_MS, BETWEEN_VISITS_MS, MAX_CLIENTS } from '../../demo/crowd.ts';
import { type DemoOptions, runDemo } from '../../demo/demo.ts';
import { CannotListen, CPUS, WORKERS } from '../../demo/stage.ts';
import { STRATEGIES } from '../../options/types.ts';
import { adminAddress, choice, integer } from '../../options/values.ts';
import { complain, EXIT } from '../complaint.ts';
import { flag, toolCommand } from '../flags.ts';

const MAX_MINUTES = 600;

const FLAGS = {
  strategy: flag(
    '-s, --strategy <name>',
    `the first one: ${STRATEGIES.join(', ')}`,
    choice(STRATEGIES),
    'workqueue',
  ),
  admin: flag(
    '--admin <address>',
    'where the dashboard listens: 9090, 127.0.0.1:9090, or a path for a Unix socket',
    adminAddress,
    '127.0.0.1:0',
    'any free port of 127.0.0.1',
  ),
  clients: flag(
    '--clients <number>',
    `clients at the beginning, 1 to ${MAX_CLIENTS}`,
    integer(1, MAX_CLIENTS),
    '16',
  ),
  minutes: flag(
    '--minutes <number>',
    `when it ends by itself, 1 to ${MAX_MINUTES}`,
    integer(1, MAX_MINUTES),
    '30',
  ),
};

const DESCRIPTION = `Shows what the strategies are about: an echo server whose handlers sleep and compute, a gentle load on it, and the \
dashboard. Everything is on this machine's loopback. The strategy is switched while it runs.

A client connects, asks ${ANSWERS_PER_VISIT} times with ${BETWEEN_ANSWERS_MS} ms in between, closes, and comes again \
after ${BETWEEN_VISITS_MS / 1000} s. workqueue has ${WORKERS} workers, cmwq ${CPUS} CPU pools.`;

const ENDING = `Keys on a terminal: 1 kthread, 2 workqueue, 3 cmwq; space turns the load off and
on; + and - make it more or fewer clients; q or Ctrl-C quits.

Examples:
  $ kecho-pool demo                             begins with workqueue
  $ kecho-pool demo -s cmwq --admin 9090        the dashboard on port 9090

Exit codes:
  0  done
  1  the server failed
  2  wrong usage
  3  cannot listen`;

async function exitCodeOf(options: DemoOptions): Promise<number> {
  try {
    await runDemo(options);
    return EXIT.done;
  } catch (error) {
    // A switch that the descriptor limit forbids is a UsageError of the server, and none of this command line.
    complain('kecho-pool demo', (error as Error).message);
    return error instanceof CannotListen ? EXIT.cannotListen : EXIT.failed;
  }
}

/** `run` is for tests. */
export function command(run: (options: DemoOptions) => Promise<number> = exitCodeOf): Command {
  return toolCommand({ name: 'demo', description: DESCRIPTION, flags: FLAGS, ending: ENDING }, run);
}
