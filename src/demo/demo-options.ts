/**
 * The command line of `kecho-pool demo`. Pure.
 */
import { parseArgs } from 'node:util';
import { ADMIN_ADDRESS_ALLOWED, parseAdminAddress } from '../options/admin-address.ts';
import { STRATEGIES, type StrategyName } from '../options/types.ts';
import { printable, shortened, UsageError } from '../options/values.ts';
import { ANSWERS_PER_VISIT, BETWEEN_ANSWERS_MS, BETWEEN_VISITS_MS, MAX_CLIENTS } from './crowd.ts';
import { CPUS, WORKERS } from './stage.ts';

const DEFAULT_CLIENTS = 16;
const DEFAULT_MINUTES = 30;
const MAX_MINUTES = 600;

export const USAGE = `Usage: kecho-pool demo [options]

Shows what the strategies are about: an echo server whose handlers sleep and
compute, a gentle load on it, and the dashboard. Everything is on this machine's
loopback. The strategy is switched while it runs.

A client connects, asks ${ANSWERS_PER_VISIT} times with ${BETWEEN_ANSWERS_MS} ms in between, closes, and comes
again after ${BETWEEN_VISITS_MS / 1000} s. workqueue has ${WORKERS} workers, cmwq ${CPUS} CPU pools.

Options:
  -s, --strategy <name>  the first one: ${STRATEGIES.join(', ')}
                         (default: workqueue)
  --admin <address>      where the dashboard listens: 9090, 127.0.0.1:9090, or a
                         path for a Unix socket
                         (default: any free port of 127.0.0.1)
  --clients <number>     1 to ${MAX_CLIENTS} (default: ${DEFAULT_CLIENTS})
  --minutes <number>     after which it ends by itself, 1 to ${MAX_MINUTES} (default: ${DEFAULT_MINUTES})
  -h, --help             print this

Keys on a terminal: 1 kthread, 2 workqueue, 3 cmwq; space turns the load off and
on; + and - make it more or fewer clients; q or Ctrl-C quits.

Exit codes: 0 done, 1 the server failed, 2 wrong usage, 3 cannot listen.
`;

export interface DemoOptions {
  strategy: StrategyName;
  /** As --admin of the server takes it. */
  admin: string;
  clients: number;
  minutes: number;
}

const FLAGS = {
  strategy: { type: 'string', short: 's', default: 'workqueue' },
  admin: { type: 'string', default: '127.0.0.1:0' },
  clients: { type: 'string', default: String(DEFAULT_CLIENTS) },
  minutes: { type: 'string', default: String(DEFAULT_MINUTES) },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: FLAGS }).values;
  } catch (error) {
    const [what = 'bad command line'] = (error as Error).message.split(/\n|\. To specify|\. This command/);
    throw new Error(printable(shortened(what)));
  }
}

function numberOf(flag: string, text: string, max: number): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= 1 && value <= max) return value;
  throw new UsageError(flag, text, `an integer from 1 to ${max}`);
}

/** Throws an error of one line for a command line that cannot be obeyed. */
export function demoOptions(argv: readonly string[]): DemoOptions | 'help' {
  const { help, strategy, admin, clients, minutes } = parse(argv);
  if (help) return 'help';
  const name = STRATEGIES.find((one) => one === strategy);
  if (name === undefined) throw new UsageError('--strategy', strategy, `one of ${STRATEGIES.join(', ')}`);
  if (parseAdminAddress(admin) === null) throw new UsageError('--admin', admin, ADMIN_ADDRESS_ALLOWED);
  return {
    strategy: name,
    admin,
    clients: numberOf('--clients', clients, MAX_CLIENTS),
    minutes: numberOf('--minutes', minutes, MAX_MINUTES),
  };
}
