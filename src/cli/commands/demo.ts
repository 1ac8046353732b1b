/**
 * The command line of `kecho-pool demo`.
 */
import type { Command } from 'commander';
import { ANSWERS_PER_VISIT, BETWEEN_ANSWERS_MS, BETWEEN_VISITS_MS, MAX_CLIENTS } from '../../demo/crowd.ts';
import { type DemoOptions, runDemo } from '../../demo/demo.ts';
import { CannotListen, CPUS, WORKERS } from '../../demo/stage.ts';
import { STRATEGIES } from '../../options/types.ts';
import { adminAddress, choice, integer, path } from '../../options/values.ts';
import { complain, EXIT } from '../complaint.ts';
import { flag, toolCommand } from '../flags.ts';
import { checkHandler, HANDLER_FLAGS, handlerOptions } from '../handler-flags.ts';

const MAX_MINUTES = 600;

const FLAGS = {
  strategy: flag(
    '-s, --strategy <name>',
    `strategy at the start: ${STRATEGIES.join(', ')}`,
    choice(STRATEGIES),
    'workqueue',
  ),
  admin: flag(
    '--admin <address>',
    'address of the dashboard: 9090, 127.0.0.1:9090, or the path of a Unix socket',
    adminAddress,
    '127.0.0.1:0',
    'any free port of 127.0.0.1',
  ),
  clients: flag(
    '--clients <number>',
    `number of clients at the start, 1 to ${MAX_CLIENTS}`,
    integer(1, MAX_CLIENTS),
    '16',
  ),
  ...HANDLER_FLAGS,
  record: flag(
    '--record <file>',
    'write a page to this file that replays the demo without a server, at most its first ten minutes',
    path,
  ),
  minutes: flag('--minutes <number>', `how long it runs, 1 to ${MAX_MINUTES}`, integer(1, MAX_MINUTES), '30'),
};

const DESCRIPTION = `Shows how the strategies differ: an echo server whose handlers sleep and compute, a gentle load, and the dashboard, \
all on loopback. The strategy can be switched at any time.

Each client connects, sends ${ANSWERS_PER_VISIT} requests ${BETWEEN_ANSWERS_MS} ms apart, closes, and connects again \
after ${BETWEEN_VISITS_MS / 1000} s. workqueue has ${WORKERS} workers, cmwq ${CPUS} CPU pools.`;

const ENDING = `Keys: 1 kthread, 2 workqueue, 3 cmwq; space turns the load off and on; + and -
add and remove clients; q or Ctrl-C quits.

Examples:
  $ npx kecho-pool demo                         starts with workqueue
  $ npx kecho-pool demo -s cmwq --admin 9090    the dashboard on port 9090
  $ npx kecho-pool demo --handler ./work.ts     with your own handler
  $ npx kecho-pool demo --record demo.html      a replay, to open in a browser

Exit codes:
  0  done
  1  the server failed, or the recording cannot be written
  2  wrong usage
  3  cannot listen`;

async function exitCodeOf(options: DemoOptions): Promise<number> {
  await checkHandler(options.handler);
  try {
    await runDemo(options);
    return EXIT.done;
  } catch (error) {
    // Also a UsageError of the server, when the descriptor limit forbids a switch: not an error of this command line.
    complain('kecho-pool demo', (error as Error).message);
    return error instanceof CannotListen ? EXIT.cannotListen : EXIT.failed;
  }
}

/** `run` is for tests. */
export function command(run: (options: DemoOptions) => Promise<number> = exitCodeOf): Command {
  return toolCommand(
    { name: 'demo', description: DESCRIPTION, flags: FLAGS, ending: ENDING },
    ({ handler, handlerHeapBytes, ...given }) =>
      run({ ...given, handler: handlerOptions({ handler, handlerHeapBytes }) }),
  );
}
