/**
 * The command line of `kecho-pool compare`. Pure: it reads the arguments it is given.
 */
import { numberFlag, parseFlags, pathFlag, quoted, UsageError } from '../flags.ts';
import { type Adjustments, EXPERIMENT_NAMES, type ExperimentName } from './experiments.ts';

export const STRATEGIES = ['kthread', 'workqueue', 'cmwq'] as const;
export type Strategy = (typeof STRATEGIES)[number];

export interface TargetOption {
  name: string;
  command: string;
}

export interface CompareOptions extends Omit<Adjustments, 'idleMax'> {
  experiments: ExperimentName[] | null;
  strategies: Strategy[];
  targets: TargetOption[];
  peers: boolean;
  control: boolean;
  messageBytes: number;
  seed: number;
  /** Further arguments of the kecho-pool servers. */
  serverArgs: string[];
  baseline: string | null;
  out: string;
  /** Print the plan and the estimate, run nothing. */
  planOnly: boolean;
}

export const USAGE = `usage: kecho-pool compare [options]

Runs the strategies, and other echo servers, under the same loads on this
machine, and writes a report.

  --experiment A,B    only these of ${EXPERIMENT_NAMES.slice(0, 4).join(', ')},
                      ${EXPERIMENT_NAMES.slice(4).join(', ')}
  --quick             a look in about a minute: fewer experiments, points, runs
  --strategies A,B    of ${STRATEGIES.join(', ')} (all)
  --clients LIST      numbers of clients instead of the experiment's own:
                      1,10,100 or 1..1000/50 (idle: numbers of idle
                      connections; telnet keeps the studies' three points)
  --requests N        messages of each client in a burst (10; blocking and
                      cpu-bound 5)
  --size N            bytes of a message (64)
  --repeat N          runs of each server at each point (10; 6 where runs are
                      long); fewer than 6 give no intervals and no verdicts
  --duration TIME     measured window of throughput, churn and idle (600ms)
  --warmup TIME       load before that window
  --timeout TIME      longest wait for one answer
  --target NAME=CMD   compare with another echo server, which CMD starts; may be
                      given again. {port} in CMD becomes a free port; otherwise
                      it prints "listening PORT"
  --peers             compare with the servers in bench/peers as well
  --server-arg A      a further argument for the kecho-pool servers; may be
                      given again
  --no-control        leave out the A/A control, and with it the noise floor
  --seed N            seed of the order of the runs and of the statistics
                      (random)
  --baseline FILE     an earlier results.json: say what has changed since
  --out DIR           where results.json, results.csv, report.html and *.svg go
                      (compare-results)
  --plan              print the runs and the estimated time, and run nothing
  --help              this text

Durations: 250ms, 2s. Exit codes: 0 measured, 1 wrong bytes came back or nothing
could be measured, 2 wrong usage, 130 interrupted (what was measured is written
and marked partial).
`;

const FLAGS = {
  experiment: { type: 'string', multiple: true },
  quick: { type: 'boolean', default: false },
  strategies: { type: 'string' },
  clients: { type: 'string' },
  requests: { type: 'string' },
  size: { type: 'string', default: '64' },
  repeat: { type: 'string' },
  duration: { type: 'string' },
  warmup: { type: 'string' },
  timeout: { type: 'string' },
  target: { type: 'string', multiple: true },
  peers: { type: 'boolean', default: false },
  'server-arg': { type: 'string', multiple: true },
  'no-control': { type: 'boolean', default: false },
  seed: { type: 'string' },
  baseline: { type: 'string' },
  out: { type: 'string', default: 'compare-results' },
  plan: { type: 'boolean', default: false },
} as const;

const SEED_MAX = 2 ** 31 - 1;
const CLIENTS_MAX = 10_000;
/** Above it the load generator runs out of distinct messages; connections that only idle send others. */
const LOAD_CLIENTS_MAX = 8_192;
const POINTS_MAX = 50;
const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Longer runs say nothing more, and a mistyped unit must not run all day. */
const TIME_MAX_MS = 60_000;
const TARGET_NAME_MAX = 60;

function listed<T extends string>(flag: string, text: string, known: readonly T[]): T[] {
  const names = text.split(',').map((name) => name.trim());
  for (const name of names) {
    if (!(known as readonly string[]).includes(name)) {
      throw new UsageError(`${flag} knows ${known.join(', ')}, not ${quoted(name)}`);
    }
  }
  return known.filter((name) => names.includes(name));
}

/** Milliseconds from "250ms" or "2s". */
function durationFlag(flag: string, text: string, lowMs: number): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(text);
  const ms = match === null ? Number.NaN : Number(match[1]) * (match[2] === 's' ? 1000 : 1);
  if (!(ms >= lowMs && ms <= TIME_MAX_MS)) {
    throw new UsageError(
      `${flag} takes a time from ${lowMs}ms to 60s, such as 250ms or 2s, not ${quoted(text)}`,
    );
  }
  return Math.round(ms);
}

/** Numbers from "1,10,100", "1..1000/50" (from, to, step), or both. In order, each once. */
export function clientList(text: string): number[] {
  const bad = () =>
    new UsageError(
      `--clients takes numbers from 1 to ${CLIENTS_MAX}, as 1,10,100 or 1..1000/50, not ${quoted(text)}`,
    );
  const found = new Set<number>();
  for (const part of text.split(',')) {
    const range = /^(\d+)\.\.(\d+)(?:\/(\d+))?$/.exec(part.trim());
    if (range === null && !/^\d+$/.test(part.trim())) throw bad();
    const from = Number(range?.[1] ?? part);
    const to = Number(range?.[2] ?? part);
    const step = Number(range?.[3] ?? 1);
    if (from < 1 || to > CLIENTS_MAX || from > to || step < 1) throw bad();
    if ((to - from) / step > POINTS_MAX)
      throw new UsageError(`--clients takes at most ${POINTS_MAX} numbers`);
    for (let count = from; count <= to; count += step) found.add(count);
  }
  if (found.size > POINTS_MAX) throw new UsageError(`--clients takes at most ${POINTS_MAX} numbers`);
  return [...found].sort((a, b) => a - b);
}

function target(text: string): TargetOption {
  const at = text.indexOf('=');
  const [name, command] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (at < 1 || name === '' || command === '') {
    throw new UsageError(`--target takes NAME=COMMAND, not ${quoted(text)}`);
  }
  if (name.length > TARGET_NAME_MAX)
    throw new UsageError(`--target: a name has at most ${TARGET_NAME_MAX} characters`);
  return { name, command };
}

function targets(texts: readonly string[]): TargetOption[] {
  const found = texts.map(target);
  const names = found.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i || listedNames.includes(name));
  if (twice !== undefined) throw new UsageError(`--target: the name ${quoted(twice)} is taken`);
  return found;
}

/** Labels that kecho-pool's own contestants have. */
const listedNames: readonly string[] = STRATEGIES.flatMap((name) => [name, `${name} (again)`]);

function adjustments(flags: {
  clients?: string;
  requests?: string;
  repeat?: string;
  duration?: string;
  warmup?: string;
  timeout?: string;
}): Omit<Adjustments, 'quick' | 'idleMax'> {
  const { clients, requests, repeat, duration, warmup, timeout } = flags;
  return {
    ...(clients === undefined ? {} : { clients: clientList(clients) }),
    ...(requests === undefined ? {} : { requests: numberFlag('--requests', requests, 1, 100_000) }),
    ...(repeat === undefined ? {} : { repeat: numberFlag('--repeat', repeat, 1, 100) }),
    ...(duration === undefined ? {} : { durationMs: durationFlag('--duration', duration, 50) }),
    ...(warmup === undefined ? {} : { warmupMs: durationFlag('--warmup', warmup, 0) }),
    ...(timeout === undefined ? {} : { timeoutMs: durationFlag('--timeout', timeout, 10) }),
  };
}

/** The options of a command line. Throws UsageError. */
export function compareOptions(args: readonly string[]): CompareOptions {
  const flags = parseFlags({ args: [...args], options: FLAGS, strict: true });
  const names = flags.experiment?.join(',');
  const seed = flags.seed ?? String(Math.floor(Math.random() * SEED_MAX));
  const experiments = names === undefined ? null : listed('--experiment', names, EXPERIMENT_NAMES);
  const adjusted = adjustments(flags);
  const most = Math.max(0, ...(adjusted.clients ?? []));
  if (most > LOAD_CLIENTS_MAX && experiments?.join() !== 'idle') {
    throw new UsageError(`--clients above ${LOAD_CLIENTS_MAX} is for --experiment idle only`);
  }
  return {
    ...adjusted,
    quick: flags.quick,
    experiments,
    strategies:
      flags.strategies === undefined ? [...STRATEGIES] : listed('--strategies', flags.strategies, STRATEGIES),
    targets: targets(flags.target ?? []),
    peers: flags.peers,
    control: !flags['no-control'],
    messageBytes: numberFlag('--size', flags.size, 1, MESSAGE_BYTES_MAX),
    seed: numberFlag('--seed', seed, 0, SEED_MAX),
    serverArgs: flags['server-arg'] ?? [],
    baseline: flags.baseline ?? null,
    out: pathFlag('--out', flags.out),
    planOnly: flags.plan,
  };
}
