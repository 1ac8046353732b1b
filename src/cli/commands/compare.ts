/**
 * The command line of `kecho-pool compare`.
 */
import type { Command } from 'commander';
import type { CompareOptions, OnOption, TargetOption } from '../../../bench/compare/compare-options.ts';
import { CONTROL_SUFFIX, PEER_LABELS } from '../../../bench/compare/contestants.ts';
import { BESIDE_SERVER, EXPERIMENT_NAMES } from '../../../bench/compare/experiments/kind.ts';
import { EMULATED } from '../../../bench/compare/experiments.ts';
import { LOOKS } from '../../../bench/compare/plan.ts';
import { runCompare } from '../../../bench/compare/run-compare.ts';
import { BEFORE_SUFFIX } from '../../../bench/compare/types.ts';
import { clientCounts, parseTarget } from '../../../bench/load/command/values.ts';
import { MESSAGE_BYTES_MAX, randomSeed, SEED_MAX } from '../../../bench/load/load-options.ts';
import { specOf } from '../../options/index.ts';
import { STRATEGIES } from '../../options/types.ts';
import { checkOption, duration, integer, names, path, size, UsageError } from '../../options/values.ts';
import { checkedVariant, checkServerArgs, serverArg, type VariantText } from '../compared-servers.ts';
import { flag, repeatable, toggle, toolCommand, type ValuesOf } from '../flags.ts';
import { checkHandler, HANDLER_FLAGS, handlerOptions } from '../handler-flags.ts';
import { TIMES_AND_SIZES } from '../help.ts';

const SERVICE = specOf('service');
const CLIENTS_MAX = 10_000;
/** Above it the load generator runs out of distinct messages; idle connections do not use them. */
const LOAD_CLIENTS_MAX = 8_192;
const POINTS_MAX = 50;
/** Longer runs add no information, and a mistyped unit must not run all day. */
const TIME_MAX_MS = 60_000;
/** Of all rounds with --until. */
const TIME_LIMIT_MS = 30 * 60_000;
const NAME_MAX = 60;
/** Labels of kecho-pool's own contestants. */
const OWN_LABELS: readonly string[] = STRATEGIES.flatMap((name) =>
  ['', CONTROL_SUFFIX, BEFORE_SUFFIX].map((suffix) => `${name}${suffix}`),
);

/** "NAME=REST"; `form` is shown when it is not. */
function named(text: string, source: string, form: string): { name: string; rest: string } {
  const at = text.indexOf('=');
  const [name, rest] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  const isNamed = at >= 1 && name !== '' && rest !== '' && name.length <= NAME_MAX;
  if (isNamed) return { name, rest };
  throw new UsageError(source, text, `${form}, with a name of at most ${NAME_MAX} characters`);
}

/** A command, or one word that ends with a port: an address, whose host is checked once --remote is known. */
function target(text: string, source: string): { name: string; rest: string } {
  return named(text, source, 'NAME=COMMAND or NAME=HOST:PORT');
}

function targetOption({ name, rest }: { name: string; rest: string }, remote: boolean): TargetOption {
  if (!/^[^\s/]*:\d{1,5}$/.test(rest)) return { name, command: rest };
  return { name, at: parseTarget(rest, remote, '--remote') };
}

/** "ssh:HOST", or with options of ssh before the host. */
function otherHost(text: string, source: string): Omit<OnOption, 'command'> {
  const words = /^ssh:(.*)$/.exec(text)?.[1]?.split(/\s+/).filter(Boolean) ?? [];
  const name = words.at(-1);
  if (name !== undefined && /^[\w.@:[\]-]+$/.test(name) && !name.startsWith('-')) return { name, words };
  throw new UsageError(
    source,
    text,
    "ssh:HOST, or options of ssh before the host, as in 'ssh:-p 2222 me@server'",
  );
}

function variant(text: string, source: string): VariantText {
  const { name, rest } = named(
    text,
    source,
    'NAME=OPTIONS of the server, as in wq50=-s workqueue --workers 50',
  );
  return { name, words: rest.split(/\s+/) };
}

function shellCommand(text: string, source: string): string {
  if (text.trim() !== '') return text;
  throw new UsageError(source, text, 'a command');
}

/** A number of percent, as a share. */
function percentage(least: number, most: number) {
  return (text: string, source: string): number => {
    const value = /^\d{1,3}%?$/.test(text) ? Number.parseInt(text, 10) : Number.NaN;
    if (value >= least && value <= most) return value / 100;
    throw new UsageError(source, text, `whole percent from ${least}% to ${most}%`);
  };
}

const FLAGS = {
  experiments: repeatable(
    '--experiment <names>',
    `experiments to run: ${EXPERIMENT_NAMES.join(', ')} (default: all but handler; with --quick response, blocking, mixed; with --handler or --service handler, throughput)`,
    names(EXPERIMENT_NAMES),
  ),
  quick: toggle(
    '--quick',
    'about a minute and a half on an idle machine, without --handler, --service and --clients (--plan tells how long with them): fewer experiments, points and rounds; six rounds find most differences of 1.5 times, ' +
      'where runs differ by 12 %, and few smaller ones',
  ),
  strategies: flag('--strategies <names>', 'strategies to run', names(STRATEGIES), STRATEGIES.join(',')),
  clients: flag(
    '--clients <list>',
    'numbers of clients, 1,10,100 or 1..1000/50; for idle, of idle connections; telnet keeps its three points ' +
      '(default: as each experiment has them)',
    clientCounts(CLIENTS_MAX, POINTS_MAX),
  ),
  requests: flag(
    '--requests <number>',
    'requests per client in a burst (default: 10; blocking and cpu-bound 5, cold-warm 3)',
    integer(1, 100_000),
  ),
  messageBytes: flag('--size <size>', 'size of a message', size(1, MESSAGE_BYTES_MAX), '64'),
  repeat: flag(
    '--repeat <number>',
    'rounds, each with one run of each server at each point; fewer than 5 give no intervals and no verdicts ' +
      '(default: 10; 8 where runs are long; 6 with --quick)',
    integer(1, 100),
  ),
  durationMs: flag(
    '--duration <time>',
    'length of a measurement in all experiments but those of bursts (default: as each experiment has it)',
    duration(50, TIME_MAX_MS),
  ),
  warmupMs: flag('--warmup <time>', 'load before such a measurement', duration(0, TIME_MAX_MS)),
  timeoutMs: flag('--timeout <time>', 'longest wait for a connection or an echo', duration(10, TIME_MAX_MS)),
  targets: repeatable(
    '--target <name=server>',
    'compare with another echo server, started by the command; {port} in it becomes a free port, without it the ' +
      'server must print "listening PORT"; or HOST:PORT of a server that runs already',
    target,
  ),
  remote: toggle('--remote', 'allow such a server on another machine, whose owner agrees to the load'),
  on: flag(
    '--on <host>',
    'run the servers on another host, ssh:HOST, where this version of kecho-pool is installed, and the load here',
    otherHost,
  ),
  onCommand: flag(
    '--on-command <command>',
    'with --on: how kecho-pool is started there (default: kecho-pool)',
    shellCommand,
  ),
  peers: toggle('--peers', 'also compare with the servers in bench/peers'),
  variants: repeatable(
    '--variant <name=options>',
    'also compare a kecho-pool server with other options, such as wq50=-s workqueue --workers 50',
    variant,
  ),
  serverArgs: repeatable(
    '--server-arg <argument>',
    'a further argument for all kecho-pool servers, as in --server-arg=--cpus=4',
    serverArg,
  ),
  services: repeatable(
    `--${SERVICE.flag} <spec>`,
    'work before each echo, such as burn:2ms,sleep:20ms, in experiments that have none of their own',
    (text, source) => checkOption(SERVICE, [text], source) as string[], // its kind is services
  ),
  ...HANDLER_FLAGS,
  pin: toggle('--pin', 'the load generator and the servers on processors of their own; needs two'),
  control: toggle('--no-control', 'leave out the A/A control'),
  margin: flag(
    '--margin <percent>',
    'ratios within this margin count as the same',
    percentage(1, 900),
    '25%',
  ),
  until: flag(
    '--until <percent>',
    `add rounds, up to ${LOOKS.at(-1)}, until the ratios of the primary figures are known to within this percentage`,
    percentage(1, 100),
  ),
  timeLimitMs: flag(
    '--time-limit <time>',
    'with --until: add no rounds that would end later than this (default: 30m)',
    duration(1000, 24 * 3_600_000),
  ),
  seed: flag(
    '--seed <number>',
    'seed of the order of the runs and of the statistics (default: random, printed)',
    integer(0, SEED_MAX),
  ),
  baseline: flag(
    '--baseline <file>',
    'an earlier results.json, to show its figures beside the new ones',
    path,
  ),
  baselineCommand: flag(
    '--baseline-command <command>',
    'also run an old build of kecho-pool, started by the command, and judge each strategy against it, as in ' +
      "'node ../old/dist/src/bin.js'",
    shellCommand,
  ),
  from: flag(
    '--from <file>',
    'run nothing: analyse the runs of an earlier results.json again, and write its report anew',
    path,
  ),
  out: flag(
    '--out <folder>',
    'folder for results.json, results.csv, report.html and *.svg',
    path,
    'compare-results',
  ),
  planOnly: toggle(
    '--plan',
    'print the runs and the estimated time, from a short run of each kind of server, then exit',
  ),
};

FLAGS.from.conflicts(
  Object.values(FLAGS)
    .filter((option) => option !== FLAGS.from && option !== FLAGS.out)
    .map((option) => option.attributeName()),
);

const ENDING = `${TIMES_AND_SIZES}

Examples:
  $ npx kecho-pool compare --quick              fewer and shorter runs
  $ npx kecho-pool compare --plan               what would run, and for how long
  $ npx kecho-pool compare --peers --experiment throughput,churn
  $ npx kecho-pool compare --target 'mine=./server --port {port}'
  $ npx kecho-pool compare --target 'old=192.0.2.7:7000' --remote
  $ npx kecho-pool compare --on ssh:server      servers there, load here
  $ npx kecho-pool compare --handler ./work.ts  your own handler
  $ npx kecho-pool compare --service burn:2ms,sleep:20ms --clients 50 \\
      --variant 'wq50=-s workqueue --workers 50'
  $ npx kecho-pool compare --until 10%          as many rounds as it takes
  $ npx kecho-pool compare --from compare-results/results.json --out again
  $ npx kecho-pool compare --baseline compare-results/results.json --out later
  $ npx kecho-pool compare --baseline-command 'node ../old/dist/src/bin.js'

Exit codes:
  0    done
  1    wrong bytes came back, or nothing could be measured
  2    wrong usage
  130  interrupted; what was measured is written, marked as partial`;

/** The name of the option that gives all experiments their work. */
function workOption({ handler, services }: ValuesOf<typeof FLAGS>): string | null {
  if (handler !== undefined) return '--handler';
  return services === undefined ? null : '--service';
}

function chosenExperiments(given: ValuesOf<typeof FLAGS>): CompareOptions['experiments'] {
  const { experiments } = given;
  if (experiments === undefined) return null;
  const chosen = EXPERIMENT_NAMES.filter((name) => experiments.flat().includes(name));
  const work = workOption(given);
  const unfit = chosen.find((name) => (work === null ? name === 'handler' : EMULATED.includes(name)));
  if (unfit === undefined) return chosen;
  const allowed =
    work === null ? 'only with --handler or --service' : `only without ${work}, as it has work of its own`;
  throw new UsageError('--experiment', unfit, allowed);
}

/** Throws UsageError if two servers have the same name. */
function checkNames(option: string, names: readonly string[], taken: Set<string>): void {
  for (const name of names) {
    if (taken.has(name)) throw new UsageError(option, name, 'a name that is not taken');
    taken.add(name);
  }
}

/** Refuses what makes no sense with servers on another host, or only there. */
function checkOn({ on, onCommand, experiments, pin, peers, handler }: ValuesOf<typeof FLAGS>): void {
  if (on === undefined) {
    if (onCommand !== undefined) throw new UsageError('--on-command', onCommand, 'only with --on');
    return;
  }
  const beside = experiments?.flat().find((name) => BESIDE_SERVER.includes(name));
  const refused: [string, string | boolean | undefined][] = [
    ['--pin', pin],
    ['--peers', peers],
    ['--handler', handler],
    ['--experiment', beside],
  ];
  for (const [option, value] of refused) {
    if (value === undefined || value === false) continue;
    throw new UsageError(
      option,
      value === true ? undefined : value,
      'only with servers on this machine',
      'not allowed with --on',
    );
  }
}

function read(given: ValuesOf<typeof FLAGS>): CompareOptions {
  const experiments = chosenExperiments(given);
  const most = Math.max(0, ...(given.clients ?? []));
  if (most > LOAD_CLIENTS_MAX && experiments?.join() !== 'idle')
    throw new UsageError(
      '--clients',
      most,
      `at most ${LOAD_CLIENTS_MAX}, except with --experiment idle alone`,
    );
  const { variants = [], serverArgs = [], services = [] } = given;
  const targets = (given.targets ?? []).map((found) => targetOption(found, given.remote));
  const taken = new Set([...OWN_LABELS, ...(given.peers ? PEER_LABELS : [])]);
  const nameOf = ({ name }: { name: string }) => name;
  checkNames('--variant', variants.map(nameOf), taken);
  checkNames('--target', targets.map(nameOf), taken);
  checkServerArgs(given.strategies, serverArgs);
  if (given.until !== undefined && given.repeat !== undefined)
    throw new UsageError(
      '--repeat',
      given.repeat,
      'only without --until, which decides the number of rounds',
    );
  if (given.until === undefined && given.timeLimitMs !== undefined)
    throw new UsageError(
      '--time-limit',
      `${given.timeLimitMs} ms`,
      'only with --until, whose rounds it limits',
    );
  if (services.length > 0 && given.handler !== undefined)
    throw new UsageError('--handler', given.handler, 'only without --service');
  checkOn(given);
  return {
    ...given,
    experiments,
    targets,
    variants: variants.map((text) => checkedVariant(text, serverArgs)),
    serverArgs,
    services: services.flat(),
    seed: given.seed ?? randomSeed(),
    until: given.until,
    timeLimitMs: given.timeLimitMs ?? TIME_LIMIT_MS,
    on: given.on && { ...given.on, command: given.onCommand ?? 'kecho-pool' },
    baseline: given.baseline ?? null,
    from: given.from ?? null,
    baselineCommand: given.baselineCommand,
  };
}

async function exitCodeOf(options: CompareOptions): Promise<number> {
  await checkHandler(handlerOptions(options));
  return runCompare(options);
}

/** `run` is for tests. */
export function command(run: (options: CompareOptions) => Promise<number> = exitCodeOf): Command {
  return toolCommand(
    {
      name: 'compare',
      description:
        'Compares the strategies, and other echo servers, under the same loads, and writes a report.',
      flags: FLAGS,
      ending: ENDING,
    },
    (given) => run(read(given)),
  );
}
