/**
 * The command line of `kecho-pool top`.
 */
import type { Command } from 'commander';
import { duration, STDOUT, UsageError } from '../../options/values.ts';
import { runTop } from '../../top/top.ts';
import { ADDRESS_VARIABLE, addressOf, type TopOptions } from '../../top/top-options.ts';
import { flag, output, toggle, toolCommand } from '../flags.ts';
import { TIMES } from '../help.ts';

const FLAGS = {
  intervalMs: flag('--interval <time>', 'time between two snapshots', duration(100, 3_600_000), '1s'),
  once: toggle(
    '--once',
    'print one snapshot as plain text; the default if standard output is not a terminal',
  ),
  json: output(
    '--json [-]',
    'print each snapshot to standard output as a line of JSON, {"atMs":..., and all of /status.json}; with --once a ' +
      'single line',
  ),
};

const ENDING = `${TIMES}
Keys: q or Ctrl-C quits; s sorts by the next column, r reverses; arrows, Page
Up/Down, Home and End scroll the workers; p pauses; ? or h explains the figures.
NO_COLOR turns colours off.

Examples:
  $ npx kecho-pool top 9090                     a server run with --admin 9090
  $ npx kecho-pool top --once /run/kecho.sock   plain text, from a Unix socket
  $ npx kecho-pool top --json --interval 5s 9090   for another program

Exit codes:
  0  done
  1  the server cannot be reached (--once, --json, or not a terminal)
  2  wrong usage`;

/** In `--json 9090` the value is not a destination but the address. */
function argumentOf(json: string | undefined, argument: string | undefined): string | undefined {
  if (json === undefined || json === STDOUT) return argument;
  if (argument === undefined) return json;
  throw new UsageError('admin address', argument, 'only one address');
}

/** `run` and `environment` are for tests. */
export function command(
  run: (options: TopOptions) => Promise<number> = runTop,
  environment = process.env,
): Command {
  return toolCommand(
    {
      name: 'top',
      description: 'Shows the state of a running server, full screen. The server must run with --admin.',
      argument: [
        '[address]',
        "the server's --admin: 9090, 127.0.0.1:9090, [::1]:9090 or the path of a Unix socket (/run/kecho.sock, " +
          `./kecho.sock), or the URL that it logs (default: environment variable ${ADDRESS_VARIABLE})`,
      ],
      flags: FLAGS,
      ending: ENDING,
    },
    ({ intervalMs, once, json }, argument) => {
      const address = addressOf(argumentOf(json, argument), environment[ADDRESS_VARIABLE]);
      return run({ ...address, intervalMs, once, json: json !== undefined });
    },
  );
}
