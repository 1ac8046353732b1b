/**
 * `npm run bench:generator`: is the load generator fast and exact enough to measure with?
 *
 * It and a load generator in C (peers/client.c) that does the same work take turns on the same C epoll server, every byte
 * checked: in a closed loop, where the rates are compared, and in an open one, where the response times are. The main
 * thread only waits; it owns the order of the runs and the text on stdout. Exit codes: 0 measured, target met or not; 1 an
 * error or a wrong byte; 2 bad usage.
 */
import { ChildProcess, exitOnStopSignal } from '../child-process.ts';
import { numberFlag, parseFlags, runProgram } from '../flags.ts';
import type { LoadResult } from '../load/schema.ts';
import { GENERATOR_COMMAND, startEcho } from '../load/start.ts';
import { builtPeer, type Command } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { intervalOf, medianEstimate } from '../stats/intervals.ts';
import { median } from '../stats/summary.ts';

const TARGET_RATIO = 0.8;
/** In open mode the median ratio of the response times is to be this close to 1. */
const TARGET_DISTANCE = 0.05;
const FIGURES = ['p50Ms', 'p90Ms', 'p99Ms'] as const;
const OPEN_CLIENTS = 100;
/** For the start and the warm-up of a run, on a busy machine. */
const MARGIN_MS = 60_000;

const USAGE = `usage: npm run bench:generator -- [options]

  --repeat N       pairs of runs for each number of clients (5)
  --seconds S      measured window of one run (1)
  --warmup S       load before the window opens (1)
  --clients A,B    numbers of clients in the closed loop (1,10,100,1000)
  --rates A,B      requests/s in the open loop, ${OPEN_CLIENTS} clients (300,2000,10000)
  --lead-us N      the C client wakes up that early in the open loop; 0: when a
                   request is due (as early as the generator)
  --help           this text
`;

const FLAGS = {
  repeat: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '1' },
  warmup: { type: 'string', default: '1' },
  clients: { type: 'string', default: '1,10,100,1000' },
  rates: { type: 'string', default: '300,2000,10000' },
  'lead-us': { type: 'string' },
} as const;

interface Plan {
  warmupMs: number;
  durationMs: number;
  repeat: number;
  port: number;
  /** Of an echo for the generator's own warm-up. */
  echoPort: number;
}

interface Figures extends Record<(typeof FIGURES)[number], number> {
  perSecond: number;
  cpuShare: number;
  /** Open loop: median time from when a request was due to its send. */
  lateP50Ms: number;
}

type Flags = Readonly<Record<string, string | number>>;

async function figures(what: string, { command, args }: Command, flags: Flags, plan: Plan): Promise<Figures> {
  const { port, warmupMs, durationMs } = plan;
  const all = { port, bytes: 64, 'warmup-ms': warmupMs, 'duration-ms': durationMs, ...flags };
  const own = Object.entries(all).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = new ChildProcess(what, command, [...args, ...own]);
  const result = await child.result<LoadResult | Figures>(warmupMs + durationMs + MARGIN_MS);
  if ('cpuShare' in result) return result;
  if (result.errorTotal > 0) throw new Error(`${what}: ${result.errorDetails.join('; ')}`);
  const { p50Ms, p90Ms, p99Ms } = result.response;
  const lateP50Ms = result.lateness?.p50Ms ?? 0;
  return { p50Ms, p90Ms, p99Ms, lateP50Ms, perSecond: result.perSecond, cpuShare: result.generatorCpuShare };
}

interface Pairs {
  own: Figures[];
  yardstick: Figures[];
}

/** Both in turn under the same load, the first of a pair changing. */
async function pairs(client: string, flags: Flags, plan: Plan, onlyC: Flags = {}): Promise<Pairs> {
  const found: Pairs = { own: [], yardstick: [] };
  const warm = { ...flags, 'echo-port': plan.echoPort };
  const flagsC = { ...flags, ...onlyC };
  for (let i = 0; i < plan.repeat; i++) {
    const runOwn = async () => found.own.push(await figures('load generator', GENERATOR_COMMAND, warm, plan));
    const runC = async () =>
      found.yardstick.push(await figures('C client', { command: client, args: [] }, flagsC, plan));
    for (const run of i % 2 === 0 ? [runOwn, runC] : [runC, runOwn]) await run();
  }
  return found;
}

function ratiosOf({ own, yardstick }: Pairs, figure: keyof Figures): number[] {
  return own.map((run, i) => run[figure] / (yardstick[i]?.[figure] ?? Number.NaN));
}

function medianOf(runs: readonly Figures[], figure: keyof Figures): number {
  return median(runs.map((run) => run[figure]));
}

function ratioText(ratios: readonly number[]): string {
  return `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)})`;
}

/** Closed loop, one line: both rates, the ratio within the pairs, and both generators' share of a core. */
async function closedLine(client: string, clients: number, plan: Plan): Promise<string> {
  const found = await pairs(client, { clients }, plan);
  const both = [found.own, found.yardstick];
  const ratios = ratiosOf(found, 'perSecond');
  return [
    String(clients).padStart(5),
    ...both.map((runs) => medianOf(runs, 'perSecond').toFixed(0).padStart(10)),
    `  ${ratioText(ratios)}`,
    `  ${both.map((runs) => medianOf(runs, 'cpuShare').toFixed(2)).join(' / ')}`,
    `  ${median(ratios) >= TARGET_RATIO ? 'met' : 'missed'}`,
  ].join(' ');
}

/** By the interval of the median: a few pairs on a busy machine may hit the target by chance. */
function openVerdict(ratios: readonly number[]): 'met' | 'missed' | 'undecided' {
  const estimate = medianEstimate(ratios);
  const interval = estimate && intervalOf(estimate);
  if (interval === null) return 'undecided';
  const [low, high] = [interval.low - 1, interval.high - 1];
  if (Math.max(-low, high) <= TARGET_DISTANCE) return 'met';
  return low > TARGET_DISTANCE || high < -TARGET_DISTANCE ? 'missed' : 'undecided';
}

/** Open loop, one line for each figure: both times and the ratio within the pairs; then how late both sent. */
async function openLines(client: string, rate: number, plan: Plan, onlyC: Flags): Promise<string[]> {
  const found = await pairs(client, { mode: 'open', clients: OPEN_CLIENTS, rate }, plan, onlyC);
  const line = (name: string, figure: keyof Figures) =>
    [
      `${String(rate).padStart(5)} ${name.padEnd(4)}`,
      ...[found.own, found.yardstick].map((runs) => medianOf(runs, figure).toFixed(4).padStart(8)),
    ].join(' ');
  const times = FIGURES.map((figure) => {
    const ratios = ratiosOf(found, figure);
    return `${line(figure.slice(0, 3), figure)}   ${ratioText(ratios)}   ${openVerdict(ratios)}`;
  });
  return [...times, line('late', 'lateP50Ms')];
}

async function main(): Promise<number> {
  const flags = parseFlags({ options: FLAGS, strict: true });
  const counts = flags.clients.split(',').map((text) => numberFlag('--clients', text, 1, 4000));
  const rates = flags.rates.split(',').map((text) => numberFlag('--rates', text, 1, 100_000));
  const seconds = numberFlag('--seconds', flags.seconds, 0.1, 60, true);
  const warmup = numberFlag('--warmup', flags.warmup, 0, 60, true);
  const lead = flags['lead-us'];
  const onlyC: Flags = lead === undefined ? {} : { 'lead-us': numberFlag('--lead-us', lead, 0, 1000) };
  const repeat = numberFlag('--repeat', flags.repeat, 1, 100);
  exitOnStopSignal();
  const client = builtPeer('client.c');
  const command = { command: builtPeer('epoll.c'), args: ['--threads', '2'] };
  await using server = await ServerUnderTest.start('C epoll', command);
  await using echo = await startEcho();
  const plan = {
    warmupMs: warmup * 1000,
    durationMs: seconds * 1000,
    repeat,
    port: server.port,
    echoPort: echo.port,
  };
  const print = (...lines: readonly string[]) => process.stdout.write(`${lines.join('\n')}\n`);
  print(
    `requests per second against the C epoll server, 64 B, medians of ${repeat} pairs; target: at least ${TARGET_RATIO}`,
    'clients       bench   C client   ratio (all pairs)   share of a core',
  );
  for (const clients of counts) print(await closedLine(client, clients, plan));
  print(
    '',
    `response times in ms in an open loop, ${OPEN_CLIENTS} clients; target: a ratio within ${TARGET_DISTANCE} of 1, by its interval`,
    'late: from when a request was due to its send, median',
    ' rate         bench C client   ratio (all pairs)',
  );
  for (const rate of rates) print(...(await openLines(client, rate, plan, onlyC)));
  return 0;
}

await runProgram('bench:generator', USAGE, main);
