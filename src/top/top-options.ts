/**
 * The command line of `kecho-pool top`: what to watch, how often, and how to show it. Pure.
 */
import { parseArgs } from 'node:util';
import { ADMIN_ADDRESS_ALLOWED, type AdminAddress, parseAdminAddress } from '../options/admin-address.ts';
import { parseDurationMs, printable, shortened, shown, UsageError } from '../options/values.ts';

export const MIN_INTERVAL_MS = 100;
const MAX_INTERVAL_MS = 3_600_000;
const DEFAULT_INTERVAL_MS = 1000;
const ADDRESS_VARIABLE = 'KECHO_POOL_ADMIN';

export const USAGE = `Usage: kecho-pool top [options] [admin address]

Shows what a running server does, on the whole terminal; the server must run
with --admin.

Address: 9090, 127.0.0.1:9090, [::1]:9090 or the path of a Unix socket
(/run/kecho.sock, ./kecho.sock), as --admin takes it, or the URL that the server
logs; without one, that of the environment variable ${ADDRESS_VARIABLE}.

Options:
  --interval <time>  between two looks (default: 1s, from 100ms to 60m)
  --once             print plain text once and end; also when standard output is
                     no terminal
  --json             print a line of JSON per look: {"atMs":..., and all of
                     /status.json}; with --once a single one
  -h, --help         print this

Keys: q or Ctrl-C quits; s sorts by the next column, r reverses; arrows, Page
Up/Down, Home and End scroll the workers; p pauses; ? or h explains the figures.

Colours are left out when NO_COLOR is set. Exit codes: 0 done, 1 the server
cannot be reached (--once, --json, no terminal), 2 wrong usage.
`;

export interface TopOptions {
  address: AdminAddress;
  /** The address as given, for messages. */
  addressText: string;
  intervalMs: number;
  once: boolean;
  json: boolean;
}

const FLAGS = {
  interval: { type: 'string' },
  once: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const;

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options: FLAGS, allowPositionals: true });
  } catch (error) {
    const [what = 'bad command line'] = (error as Error).message.split(/\n|\. To specify/);
    throw new Error(printable(shortened(what)));
  }
}

function intervalOf(text: string): number {
  const ms = parseDurationMs(text);
  if (ms !== null && ms >= MIN_INTERVAL_MS && ms <= MAX_INTERVAL_MS) return ms;
  throw new UsageError('--interval', text, 'a duration like 500ms or 2s, from 100ms to 60m');
}

function addressOf(given: string | undefined, variable: string | undefined): [AdminAddress, string] {
  // Also as the server's log has it.
  const text = (given ?? variable ?? '').replace(/^http:\/\/(.*?)\/?$/, '$1');
  if (text === '') {
    throw new Error(`no admin address: give one (127.0.0.1:9090, or a path), or set ${ADDRESS_VARIABLE}`);
  }
  const source = given === undefined ? ADDRESS_VARIABLE : 'admin address';
  const address = parseAdminAddress(text);
  if (address === null) throw new UsageError(source, text, ADMIN_ADDRESS_ALLOWED);
  if (address.kind === 'unix') return [address, address.path];
  if (address.port === 0) throw new UsageError(source, text, 'the port that the server said it listens on');
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return [address, `${host}:${address.port}`];
}

/** Throws an error of one line for a command line that cannot be obeyed. */
export function topOptions(argv: readonly string[], environment: NodeJS.ProcessEnv): TopOptions | 'help' {
  const { values, positionals } = parse(argv);
  if (values.help) return 'help';
  if (positionals.length > 1) {
    throw new Error(`${shown(positionals[1])}: only one admin address is taken`);
  }
  const intervalMs = values.interval === undefined ? DEFAULT_INTERVAL_MS : intervalOf(values.interval);
  const [address, addressText] = addressOf(positionals[0], environment[ADDRESS_VARIABLE]);
  return { address, addressText, intervalMs, once: values.once, json: values.json };
}
