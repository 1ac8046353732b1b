/**
 * The options of `kecho-pool bench`: help, defaults, and what goes together. Pure.
 */
import { numberFlag, parseArguments, quoted, UsageError } from '../../flags.ts';
import {
  CLIENTS_MAX,
  DURATION_MS_MAX,
  MAX_CONNECTIONS_DEFAULT,
  MESSAGE_BYTES_MAX,
  modeOf,
  RATE_MAX,
  REQUESTS_MAX,
  randomSeed,
  SEED_MAX,
  TIMEOUT_MS_MAX,
} from '../load-options.ts';
import type { Mode } from '../result.ts';
import { type Threshold, thresholdsOf } from './thresholds.ts';
import {
  clientsFlag,
  durationFlag,
  looksLikeTarget,
  sizeFlag,
  type TargetAddress,
  targetOf,
} from './values.ts';

/** Standard output, as the destination of --json, --csv or --hgrm. */
export const STDOUT = '-';

export interface BenchOptions {
  mode: Mode;
  target: TargetAddress;
  clients: readonly number[];
  requests: number;
  messageBytes: number;
  repeat: number;
  warmupMs: number;
  durationMs: number;
  timeoutMs: number;
  rate: number;
  maxConnections: number;
  seed: number;
  thresholds: readonly Threshold[];
  /** Files, STDOUT, or absent. */
  json?: string;
  csv?: string;
  hgrm?: string;
}

export const USAGE = `Usage: kecho-pool bench [options] [host:port]

Measures an echo server on this machine (default 127.0.0.1:12345). Every echoed
byte is checked.

  --mode NAME         burst: all connect at once, send their requests, close
                      closed: connections stay, the next request follows the
                      echo (default)
                      open: requests at a fixed rate, response times from the
                      intended send time
                      churn: connect, one echo, close
  --clients LIST      connections at a time (default 10); a sweep: 1,10,100 or
                      1..1000/50
  --requests N        of each client (burst: 1; closed and churn: as many as the
                      duration has room for)
  --duration TIME     length of a measurement (default 5s; burst: 0, one burst)
  --rate N            open: requests per second of all clients together
                      (default 1000)
  --size BYTES        of a message (default 64); 4k, 1m
  --repeat N          measurements of every point (default 1)
  --warmup TIME       load before a measurement (default 500ms)
  --timeout TIME      for a connect and for an answer (default 5s)
  --max-connections N burst and churn: no more than this in one measurement
                      (default ${MAX_CONNECTIONS_DEFAULT})
  --seed N            of the bytes that are sent (default random, printed)
  --json [FILE]       one line of JSON for each measurement
  --csv [FILE]        one line of CSV for each measurement
  --hgrm [FILE]       percentiles of the response times as HdrHistogram prints
                      them, in ms
  --threshold EXPR    such as 'p99<5ms', 'worst<=1s', 'errors<1',
                      'throughput>1000'; may be given again
                      (avg, worst, p50, p90, p99, p99.9, errors, unsent,
                      throughput)
  --help              this text

Durations: 250ms, 10s, 5m. Without a FILE, or with -, the format goes to
standard output instead of the table.
unsent: requests of --mode open that were due and that no free connection could
take. Response times do not have them in it, so they fail any threshold on
errors or response times, unless a threshold on unsent allows them.
Exit codes: 0 done, 1 errors or wrong bytes occurred, 2 wrong usage, 10 a
threshold failed, 130 interrupted (what was measured is written, marked as
partial).
`;

const FLAGS = {
  mode: { type: 'string', default: 'closed' },
  clients: { type: 'string', default: '10' },
  requests: { type: 'string' },
  duration: { type: 'string' },
  rate: { type: 'string' },
  size: { type: 'string', default: '64' },
  repeat: { type: 'string', default: '1' },
  warmup: { type: 'string', default: '500ms' },
  timeout: { type: 'string', default: '5s' },
  'max-connections': { type: 'string', default: String(MAX_CONNECTIONS_DEFAULT) },
  seed: { type: 'string' },
  json: { type: 'string' },
  csv: { type: 'string' },
  hgrm: { type: 'string' },
  threshold: { type: 'string', multiple: true },
} as const;

const REPEAT_MAX = 1000;
const CONNECTIONS_MAX = 1_000_000;

/** `--json` without a file becomes `--json=-`, since parseArgs knows no optional values. */
function withDestinations(argv: readonly string[]): string[] {
  return argv.flatMap((argument, i) => {
    if (!['--json', '--csv', '--hgrm'].includes(argument)) return [argument];
    const next = argv[i + 1];
    const isFlag = next === undefined || (next.startsWith('-') && next !== STDOUT);
    const hasFile = !isFlag && !looksLikeTarget(next);
    return hasFile ? [argument] : [`${argument}=${STDOUT}`];
  });
}

function split(argv: readonly string[]) {
  return parseArguments({ args: withDestinations(argv), options: FLAGS, strict: true });
}

type Flags = ReturnType<typeof split>['values'];

function requestsOf(flags: Flags, mode: Mode): number {
  if (flags.requests === undefined) return mode === 'burst' ? 1 : 0;
  if (mode === 'open') {
    throw new UsageError(
      `--requests ${quoted(flags.requests)} is for burst, closed and churn; open has --rate and --duration`,
    );
  }
  return numberFlag('--requests', flags.requests, 1, REQUESTS_MAX);
}

function durationOf(flags: Flags, mode: Mode, requests: number): number {
  const lowest = mode === 'burst' ? 0 : 1;
  if (flags.duration !== undefined)
    return durationFlag('--duration', flags.duration, lowest, DURATION_MS_MAX);
  if (mode === 'burst') return 0;
  return requests > 0 ? DURATION_MS_MAX : 5000;
}

function rateOf(flags: Flags, mode: Mode): number {
  if (flags.rate !== undefined && mode !== 'open') {
    throw new UsageError(`--rate ${quoted(flags.rate)} is for --mode open, not ${mode}`);
  }
  return numberFlag('--rate', flags.rate ?? '1000', 0.1, RATE_MAX, true);
}

function checkDestinations({ json, csv, hgrm }: Flags, points: number): void {
  const named = Object.entries({ json, csv, hgrm }).filter(([, file]) => file === STDOUT);
  if (named.length > 1) {
    const names = named.map(([name]) => `--${name}`).join(' and ');
    throw new UsageError(`${names} cannot both go to standard output: name a file`);
  }
  if (hgrm === STDOUT && points > 1) {
    throw new UsageError(`--hgrm without a file takes one number of clients, not ${points}`);
  }
}

/** The options of a command line. Throws UsageError. */
export function benchOptions(argv: readonly string[]): BenchOptions {
  const { values: flags, positionals } = split(argv);
  const [given = '127.0.0.1', extra] = positionals;
  if (extra !== undefined) throw new UsageError(`${quoted(extra)}: only one target is allowed`);
  const mode = modeOf(flags.mode);
  const clients = clientsFlag(flags.clients, CLIENTS_MAX);
  const requests = requestsOf(flags, mode);
  const target = targetOf(given);
  checkDestinations(flags, clients.length);
  return {
    mode,
    target,
    clients,
    requests,
    messageBytes: sizeFlag('--size', flags.size, MESSAGE_BYTES_MAX),
    repeat: numberFlag('--repeat', flags.repeat, 1, REPEAT_MAX),
    warmupMs: durationFlag('--warmup', flags.warmup, 0, DURATION_MS_MAX),
    durationMs: durationOf(flags, mode, requests),
    timeoutMs: durationFlag('--timeout', flags.timeout, 1, TIMEOUT_MS_MAX),
    rate: rateOf(flags, mode),
    maxConnections: numberFlag('--max-connections', flags['max-connections'], 1, CONNECTIONS_MAX),
    seed: numberFlag('--seed', flags.seed ?? randomSeed(), 0, SEED_MAX),
    thresholds: thresholdsOf(flags.threshold ?? [], mode),
    ...(flags.json === undefined ? {} : { json: flags.json }),
    ...(flags.csv === undefined ? {} : { csv: flags.csv }),
    ...(flags.hgrm === undefined ? {} : { hgrm: flags.hgrm }),
  };
}
