/**
 * The command line of `kecho-pool bench`: its options, and which exclude each other.
 */
import type { Command } from 'commander';
import type { BenchOptions } from '../../../bench/load/command/bench-options.ts';
import { runBench } from '../../../bench/load/command/run-bench.ts';
import { checkThresholds, parseThreshold } from '../../../bench/load/command/thresholds.ts';
import { clientCounts, looksLikeTarget, parseTarget } from '../../../bench/load/command/values.ts';
import {
  CLIENTS_MAX,
  DURATION_MS_MAX,
  MAX_CONNECTIONS_DEFAULT,
  MESSAGE_BYTES_MAX,
  RATE_MAX,
  REQUESTS_MAX,
  randomSeed,
  SEED_MAX,
  TIMEOUT_MS_MAX,
} from '../../../bench/load/load-options.ts';
import { ARRIVALS, type Arrivals, MODES, type Mode } from '../../../bench/load/result.ts';
import { choice, duration, integer, number, STDOUT, size, UsageError } from '../../options/values.ts';
import { flag, output, repeatable, toggle, toolCommand, type ValuesOf } from '../flags.ts';
import { TIMES_AND_SIZES } from '../help.ts';

const REPEAT_MAX = 1000;
const CONNECTIONS_MAX = 1_000_000;
const POINTS_MAX = 200;
const DEFAULT_MS = 5000;
const DEFAULT_RATE = 1000;

const FLAGS = {
  mode: flag(
    '--mode <name>',
    'burst: all clients connect at once, send their requests, close; closed: connections stay open, each request ' +
      'follows the last echo; open: requests at a fixed rate, response times from the intended send time; churn: ' +
      'connect, one echo, close',
    choice(MODES),
    'closed',
  ),
  clients: flag(
    '--clients <list>',
    'number of concurrent clients; a list or range for a sweep: 1,10,100 or 1..1000/50',
    clientCounts(CLIENTS_MAX, POINTS_MAX),
    '10',
  ),
  requests: flag(
    '--requests <number>',
    'requests per client (default: burst 1; closed and churn until the duration is over)',
    integer(1, REQUESTS_MAX),
  ),
  durationMs: flag(
    '--duration <time>',
    'length of a measurement (default: 5s; burst 0, a single burst)',
    duration(0, DURATION_MS_MAX),
  ),
  rate: flag(
    '--rate <number>',
    `open: requests per second, all clients together (default: ${DEFAULT_RATE})`,
    number(0.1, RATE_MAX),
  ),
  arrivals: flag(
    '--arrivals <name>',
    'open: even: at equal gaps; poisson: at random (by the seed), as from independent clients (default: even)',
    choice(ARRIVALS),
  ),
  messageBytes: flag('--size <size>', 'size of a message', size(1, MESSAGE_BYTES_MAX), '64'),
  repeat: flag('--repeat <number>', 'measurements of each point', integer(1, REPEAT_MAX), '1'),
  warmupMs: flag('--warmup <time>', 'load before a measurement', duration(0, DURATION_MS_MAX), '500ms'),
  timeoutMs: flag(
    '--timeout <time>',
    'longest wait for a connection or an echo',
    duration(1, TIMEOUT_MS_MAX),
    '5s',
  ),
  maxConnections: flag(
    '--max-connections <number>',
    'burst, churn: maximum number of connections in one measurement',
    integer(1, CONNECTIONS_MAX),
    String(MAX_CONNECTIONS_DEFAULT),
  ),
  seed: flag(
    '--seed <number>',
    'seed of the bytes that are sent and of --arrivals poisson (default: random, printed)',
    integer(0, SEED_MAX),
  ),
  pin: toggle(
    '--pin',
    'the load generator on a processor of its own; keep the server, which is yours, off it (taskset)',
  ),
  json: output('--json [file]', 'write a line of JSON for each measurement'),
  csv: output('--csv [file]', 'write a line of CSV for each measurement'),
  hgrm: output(
    '--hgrm [file]',
    'write percentiles of the response times in the format of HdrHistogram, in ms; a sweep writes a file for each point',
  ),
  thresholds: repeatable(
    '--threshold <expression>',
    "condition like 'p99<5ms', 'worst<=1s', 'errors<1' or 'throughput>1000' on avg, worst, p50, p90, p99, p99.9, " +
      'connect-avg, connect-p99, connect-worst, errors, unsent or throughput; the exit code is 10 if it does not hold',
    parseThreshold,
  ),
};

const ENDING = `${TIMES_AND_SIZES}
--json, --csv and --hgrm without a file, or with -, write to standard output
instead of the table.
unsent: requests of --mode open that were due while no connection was free. They
fail every threshold on errors or response times, unless a threshold on unsent
allows them; so do requests that timed out, unless a threshold on errors does.
>= marks a lower bound: requests that timed out or were never sent would have
taken longer. A bound satisfies no upper limit, so p99<5ms fails.

Examples:
  $ kecho-pool bench 7000                       port 7000, ten clients, 5 s
  $ kecho-pool bench --clients 1..1000/50       a sweep
  $ kecho-pool bench --mode open --rate 5000 --threshold 'p99<5ms'
  $ kecho-pool bench --json - | jq .perSecond   for another program

Exit codes:
  0    done
  1    errors or wrong bytes occurred, or nothing could be measured
  2    wrong usage
  10   a threshold failed
  130  interrupted; what was measured is written, marked as partial`;

type Given = ValuesOf<typeof FLAGS>;

function refuse(name: string, value: unknown, allowed: string): never {
  throw new UsageError(name, value, allowed);
}

function requestsOf({ requests, mode }: Given): number {
  if (requests === undefined) return mode === 'burst' ? 1 : 0;
  return mode === 'open'
    ? refuse('--requests', requests, 'only with --mode burst, closed or churn')
    : requests;
}

function durationOf({ durationMs, mode }: Given, requests: number): number {
  if (durationMs === 0 && mode !== 'burst')
    refuse('--duration', '0', 'more than 0, except with --mode burst');
  if (durationMs !== undefined) return durationMs;
  if (mode === 'burst') return 0;
  return requests > 0 ? DURATION_MS_MAX : DEFAULT_MS;
}

function rateOf(rate: number | undefined, mode: Mode): number {
  if (rate !== undefined && mode !== 'open') refuse('--rate', rate, `only with --mode open, not ${mode}`);
  return rate ?? DEFAULT_RATE;
}

function arrivalsOf({ arrivals, mode }: Given): Arrivals {
  if (arrivals !== undefined && mode !== 'open')
    refuse('--arrivals', arrivals, `only with --mode open, not ${mode}`);
  return arrivals ?? 'even';
}

type Destinations = Pick<BenchOptions, 'json' | 'csv' | 'hgrm'>;

/** The target and the destinations: in `--json 7000` the value is not a file but the target. */
function splitTarget(
  given: Given,
  argument: string | undefined,
): { target: string; destinations: Destinations } {
  const targets = argument === undefined ? [] : [argument];
  const destinations: Destinations = {};
  for (const name of ['json', 'csv', 'hgrm'] as const) {
    const value = given[name];
    if (value === undefined) continue;
    const isTarget = looksLikeTarget(value);
    if (isTarget) targets.push(value);
    destinations[name] = isTarget ? STDOUT : value;
  }
  const [target = '127.0.0.1', another] = targets;
  return another === undefined ? { target, destinations } : refuse('target', another, 'only one target');
}

function checkDestinations(destinations: Destinations, points: number): void {
  const onStdout = Object.entries(destinations).filter(([, file]) => file === STDOUT);
  if (onStdout.length > 1) {
    const names = onStdout.map(([name]) => `--${name}`).join(' and ');
    refuse(names, STDOUT, 'only one of them on standard output');
  }
  if (destinations.hgrm === STDOUT && points > 1)
    refuse('--hgrm', STDOUT, `a file, or one number of clients, not ${points}`);
}

function read(given: Given, argument: string | undefined): BenchOptions {
  const { json: _, csv: __, hgrm: ___, ...rest } = given;
  const { target, destinations } = splitTarget(given, argument);
  const requests = requestsOf(given);
  const thresholds = given.thresholds ?? [];
  checkThresholds(thresholds, given.mode);
  checkDestinations(destinations, given.clients.length);
  return {
    ...rest,
    target: parseTarget(target),
    requests,
    durationMs: durationOf(given, requests),
    rate: rateOf(given.rate, given.mode),
    arrivals: arrivalsOf(given),
    seed: given.seed ?? randomSeed(),
    thresholds,
    ...destinations,
  };
}

/** `run` is for tests. */
export function command(run: (options: BenchOptions) => Promise<number> = runBench): Command {
  return toolCommand(
    {
      name: 'bench',
      description: 'Measures any echo server on this machine, and checks every echoed byte.',
      argument: ['[host:port]', 'address of the server (default: 127.0.0.1:12345)'],
      flags: FLAGS,
      ending: ENDING,
    },
    (given, argument) => run(read(given, argument)),
  );
}
