/**
 * The command line of `kecho-pool bench`.
 */
import type { Command } from 'commander';
import {
  CLIENTS_KIND,
  completeOptions,
  DEFAULTS,
  type GivenOptions,
  KINDS,
  POINTS_MAX,
} from '../../../bench/load/command/bench-options.ts';
import { type CommandOptions, type Destinations, runBench } from '../../../bench/load/command/run-bench.ts';
import { parseThreshold } from '../../../bench/load/command/thresholds.ts';
import {
  clientCounts,
  looksLikeTarget,
  parseStages,
  parseStartAt,
} from '../../../bench/load/command/values.ts';
import type { Arrivals, Mode } from '../../../bench/load/result.ts';
import { durationText } from '../../options/units.ts';
import { parser, STDOUT, UsageError } from '../../options/values.ts';
import { flag, output, repeatable, toggle, toolCommand, type ValuesOf } from '../flags.ts';
import { TIMES_AND_SIZES } from '../help.ts';

const FLAGS = {
  mode: flag(
    '--mode <name>',
    'burst: all clients connect at once, send their requests, close; closed: connections stay open, each request ' +
      'follows the last echo; open: requests at a fixed rate, response times from the intended send time; churn: ' +
      'connect, one echo, close',
    parser<Mode>(KINDS.mode),
    DEFAULTS.mode,
  ),
  clients: flag(
    '--clients <list>',
    'number of concurrent clients; a list or range for a sweep: 1,10,100 or 1..1000/50 (default: 10)',
    clientCounts(CLIENTS_KIND.max, POINTS_MAX),
  ),
  stages: flag(
    '--stages <list>',
    'a ramp: time and clients, or in open mode time and rate, of measurements that follow each other: ' +
      '10s:100,30s:1000; each has its own connections and its own row',
    parseStages,
  ),
  requests: flag(
    '--requests <number>',
    'requests per client (default: burst 1; closed and churn until the duration is over)',
    parser<number>(KINDS.requests),
  ),
  durationMs: flag(
    '--duration <time>',
    'length of a measurement (default: 5s; burst 0, a single burst)',
    parser<number>(KINDS.durationMs),
  ),
  rate: flag(
    '--rate <number>',
    'open: requests per second, all clients together (default: 1000)',
    parser<number>(KINDS.rate),
  ),
  arrivals: flag(
    '--arrivals <name>',
    'open: even: at equal gaps; poisson: at random (by the seed), as from independent clients (default: even)',
    parser<Arrivals>(KINDS.arrivals),
  ),
  messageBytes: flag(
    '--size <size>',
    'size of a message',
    parser<number>(KINDS.messageBytes),
    String(DEFAULTS.messageBytes),
  ),
  repeat: flag(
    '--repeat <number>',
    'measurements of each point',
    parser<number>(KINDS.repeat),
    String(DEFAULTS.repeat),
  ),
  warmupMs: flag(
    '--warmup <time>',
    'load before a measurement',
    parser<number>(KINDS.warmupMs),
    durationText(DEFAULTS.warmupMs),
  ),
  timeoutMs: flag(
    '--timeout <time>',
    'longest wait for a connection or an echo',
    parser<number>(KINDS.timeoutMs),
    durationText(DEFAULTS.timeoutMs),
  ),
  maxConnections: flag(
    '--max-connections <number>',
    'burst, churn: maximum number of connections in one measurement',
    parser<number>(KINDS.maxConnections),
    String(DEFAULTS.maxConnections),
  ),
  seed: flag(
    '--seed <number>',
    'seed of the bytes that are sent and of --arrivals poisson (default: random, printed)',
    parser<number>(KINDS.seed),
  ),
  remote: toggle('--remote', 'allow a target on another machine, whose owner agrees to the load'),
  serverAdmin: flag(
    '--server-admin <address>',
    "the server's --admin address, to show its CPU time per sample; not with --mode burst",
    parser<string>(KINDS.serverAdmin),
  ),
  startAtMs: flag(
    '--start-at <time>',
    'when to start, so that several generators begin together: 2026-01-31T14:00:00Z, or @1769868000 in seconds since ' +
      '1970; kecho-pool merge adds their results up',
    parseStartAt,
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
    "condition like 'p99 < 5ms', 'worst<=1s', 'errors<1' or 'throughput>1000' on avg, worst, p50, p90, p95, p99, " +
      'p99.9, connect-avg, connect-p99, connect-worst, errors, unsent or throughput; the exit code is 10 if it does ' +
      'not hold',
    parseThreshold,
  ),
};

const ENDING = `${TIMES_AND_SIZES}
With a single point the table is followed by a chart of the response times.
--json, --csv and --hgrm without a file, or with -, write to standard output
instead of the table.
unsent: requests of --mode open that were due while no connection was free. They
fail every threshold on errors or response times, unless a threshold on unsent
allows them; so do requests that timed out, unless a threshold on errors does.
>= marks a lower bound: requests that timed out or were never sent would have
taken longer. A bound satisfies no upper limit, so p99<5ms fails.

Examples:
  $ npx kecho-pool bench 7000                   port 7000, ten clients, 5 s
  $ npx kecho-pool bench --clients 1..1000/50   a sweep
  $ npx kecho-pool bench --mode open --rate 5000 --threshold 'p99<5ms'
  $ npx kecho-pool bench --stages 10s:10,10s:100
  $ npx kecho-pool bench --remote server:7000 --server-admin server:9090
  $ npx kecho-pool bench --json - | jq .perSecond   for another program

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

/** The target and the destinations: in `--json 7000` the value is not a file but the target. */
function splitTarget(
  given: Pick<Given, 'json' | 'csv' | 'hgrm'>,
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
  const [target = '', another] = targets;
  return another === undefined ? { target, destinations } : refuse('target', another, 'only one target');
}

function checkDestinations(destinations: Destinations, points: number): void {
  const onStdout = Object.entries(destinations).filter(([, file]) => file === STDOUT);
  if (onStdout.length > 1) {
    const names = onStdout.map(([name]) => `--${name}`).join(' and ');
    refuse(names, STDOUT, 'only one of them on standard output');
  }
  if (destinations.hgrm === STDOUT && points > 1)
    refuse('--hgrm', STDOUT, `a file, or a single point, not ${points}`);
}

/** An option as the user writes it. */
function nameOf(option: keyof GivenOptions): string {
  return option in FLAGS ? `--${FLAGS[option as keyof typeof FLAGS].name()}` : option;
}

function read({ json, csv, hgrm, ...given }: Given, argument: string | undefined): CommandOptions {
  const { target, destinations } = splitTarget({ json, csv, hgrm }, argument);
  const options = completeOptions({ ...given, target }, nameOf);
  checkDestinations(destinations, options.steps.length);
  return { ...options, ...destinations };
}

/** `run` is for tests. */
export function command(run: (options: CommandOptions) => Promise<number> = runBench): Command {
  return toolCommand(
    {
      name: 'bench',
      description: 'Measures any echo server, and checks every echoed byte.',
      argument: ['[host:port]', 'address of the server (default: 127.0.0.1:12345)'],
      flags: FLAGS,
      ending: ENDING,
    },
    (given, argument) => run(read(given, argument)),
  );
}
