/**
 * The layout of all help texts, for terminals of 80 columns. Pure.
 *
 * commander's own layout makes the flags column as wide as the longest flag, which leaves too little room to wrap the
 * descriptions.
 */

/** Leaves 50 of 80 columns for the descriptions; few flags are longer. */
const FLAGS_WIDTH = 26;
const MARGIN = 2;
const GAP = 2;
const COLUMNS = 80;

/** The part of commander's helper that is used here. */
interface Helper {
  helpWidth?: number | undefined;
  boxWrap: (text: string, width: number) => string;
}

/** For configureHelp(): flags in a column of FLAGS_WIDTH; after a longer flag the description starts on the next line. */
export const HELP_LAYOUT = {
  padWidth: () => FLAGS_WIDTH,
  subcommandTerm: (command: { name: () => string }) => command.name(),
  formatItem(flags: string, width: number, description: string, helper: Helper): string {
    const left = MARGIN + width + GAP;
    const indent = ' '.repeat(left);
    const text = helper
      .boxWrap(description, (helper.helpWidth ?? COLUMNS) - left)
      .replaceAll('\n', `\n${indent}`);
    const head = `${' '.repeat(MARGIN)}${flags}`;
    return head.length > left - GAP ? `${head}\n${indent}${text}` : `${head.padEnd(left)}${text}`;
  },
};

export const TIMES = 'Times: 250ms, 10s, 5m.';
export const TIMES_AND_SIZES = 'Times: 250ms, 10s, 5m. Sizes: 64, 4KiB or 4k, 1MiB or 1m, 1GiB or 1g.';

export const SERVER_ENDING = `
${TIMES_AND_SIZES}
Every option is also read from the environment: KECHO_POOL_MAX_WORKERS=64 is
--max-workers 64. A flag wins.
Signals: SIGTERM and SIGINT drain and stop (a second one stops at once), SIGHUP
drains and stops unless ignored (nohup), SIGUSR2 logs statistics.

Examples:
  $ npx kecho-pool                            cmwq on 127.0.0.1, port 12345
  $ npx kecho-pool -s kthread -p 7000         a thread per connection
  $ npx kecho-pool -s workqueue --workers 4   four workers, one connection each
  $ KECHO_POOL_PORT=0 npx kecho-pool          any free port; the log says which
  $ telnet 127.0.0.1 12345                    try it; leave with Ctrl-], "quit"

Exit codes:
  0  done
  1  cannot write to standard output
  2  wrong usage
  3  cannot listen
  4  connections had to be cut`;
