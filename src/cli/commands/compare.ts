/**
 * The command line of `kecho-pool compare`.
 */
import type { Command } from 'commander';
import type { CompareOptions, TargetOption } from '../../../bench/compare/compare-options.ts';
import { CONTROL_SUFFIX } from '../../../bench/compare/contestants.ts';
import { EMULATED, EXPERIMENT_NAMES } from '../../../bench/compare/experiments.ts';
import { runCompare } from '../../../bench/compare/run-compare.ts';
import { clientCounts } from '../../../bench/load/command/values.ts';
import { MESSAGE_BYTES_MAX, randomSeed, SEED_MAX } from '../../../bench/load/load-options.ts';
import { STRATEGIES } from '../../options/types.ts';
import { duration, integer, names, path, size, UsageError } from '../../options/values.ts';
import { flag, repeatable, toggle, toolCommand, type ValuesOf } from '../flags.ts';
import { checkHandler, HANDLER_FLAGS, handlerOptions } from '../handler-flags.ts';
import { TIMES_AND_SIZES } from '../help.ts';

const CLIENTS_MAX = 10_000;
/** Above it the load generator runs out of distinct messages; idle connections do not use them. */
const LOAD_CLIENTS_MAX = 8_192;
const POINTS_MAX = 50;
/** Longer runs add no information, and a mistyped unit must not run all day. */
const TIME_MAX_MS = 60_000;
const TARGET_NAME_MAX = 60;
/** Labels of kecho-pool's own contestants. */
const OWN_LABELS: readonly string[] = STRATEGIES.flatMap((name) => [name, `${name}${CONTROL_SUFFIX}`]);

function target(text: string, source: string): TargetOption {
  const at = text.indexOf('=');
  const [name, command] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  const isTarget = at >= 1 && name !== '' && command !== '' && name.length <= TARGET_NAME_MAX;
  if (isTarget) return { name, command };
  throw new UsageError(source, text, `NAME=COMMAND, with a name of at most ${TARGET_NAME_MAX} characters`);
}

const FLAGS = {
  experiments: repeatable(
    '--experiment <names>',
    `experiments to run: ${EXPERIMENT_NAMES.join(', ')} (default: all but handler; with --quick response, blocking; with --handler handler)`,
    names(EXPERIMENT_NAMES),
  ),
  quick: toggle('--quick', 'about a minute and a half: fewer experiments, points and runs'),
  strategies: flag('--strategies <names>', 'strategies to run', names(STRATEGIES), STRATEGIES.join(',')),
  clients: flag(
    '--clients <list>',
    'numbers of clients, 1,10,100 or 1..1000/50; for idle, of idle connections; telnet keeps its three points ' +
      '(default: as each experiment has them)',
    clientCounts(CLIENTS_MAX, POINTS_MAX),
  ),
  requests: flag(
    '--requests <number>',
    'requests per client in a burst (default: 10; blocking and cpu-bound 5)',
    integer(1, 100_000),
  ),
  messageBytes: flag('--size <size>', 'size of a message', size(1, MESSAGE_BYTES_MAX), '64'),
  repeat: flag(
    '--repeat <number>',
    'measurements of each server at each point; fewer than 6 give no intervals and no verdicts (default: 10; 6 ' +
      'where they are long)',
    integer(1, 100),
  ),
  durationMs: flag(
    '--duration <time>',
    'length of a measurement in throughput, churn, idle, skewed and zipf (default: as each experiment has it)',
    duration(50, TIME_MAX_MS),
  ),
  warmupMs: flag('--warmup <time>', 'load before such a measurement', duration(0, TIME_MAX_MS)),
  timeoutMs: flag('--timeout <time>', 'longest wait for a connection or an echo', duration(10, TIME_MAX_MS)),
  targets: repeatable(
    '--target <name=command>',
    'compare with another echo server, started by the command; {port} in it becomes a free port, without it the ' +
      'server must print "listening PORT"',
    target,
  ),
  peers: toggle('--peers', 'also compare with the servers in bench/peers'),
  serverArgs: repeatable(
    '--server-arg <argument>',
    'a further argument for the kecho-pool servers',
    (text) => text,
  ),
  ...HANDLER_FLAGS,
  pin: toggle('--pin', 'the load generator and the servers on processors of their own; needs two'),
  control: toggle('--no-control', 'leave out the A/A control, and with it the noise floor'),
  seed: flag(
    '--seed <number>',
    'seed of the order of the runs and of the statistics (default: random, printed)',
    integer(0, SEED_MAX),
  ),
  baseline: flag('--baseline <file>', 'an earlier results.json; report what has changed since', path),
  out: flag(
    '--out <folder>',
    'folder for results.json, results.csv, report.html and *.svg',
    path,
    'compare-results',
  ),
  planOnly: toggle('--plan', 'print the runs and the estimated time, then exit'),
};

const ENDING = `${TIMES_AND_SIZES}

Examples:
  $ kecho-pool compare --quick                  about a minute and a half
  $ kecho-pool compare --plan                   what would run, and for how long
  $ kecho-pool compare --peers --experiment throughput,churn
  $ kecho-pool compare --target 'mine=./server --port {port}'
  $ kecho-pool compare --handler ./work.ts      your own handler
  $ kecho-pool compare --baseline compare-results/results.json --out later

Exit codes:
  0    done
  1    wrong bytes came back, or nothing could be measured
  2    wrong usage
  130  interrupted; what was measured is written, marked as partial`;

function read(given: ValuesOf<typeof FLAGS>): CompareOptions {
  const experiments =
    given.experiments === undefined
      ? null
      : EXPERIMENT_NAMES.filter((name) => given.experiments?.flat().includes(name));
  const unfit = experiments?.find((name) =>
    given.handler === undefined ? name === 'handler' : EMULATED.includes(name),
  );
  if (unfit !== undefined) {
    const allowed = given.handler === undefined ? 'only with --handler' : 'only without --handler';
    throw new UsageError('--experiment', unfit, allowed);
  }
  const most = Math.max(0, ...(given.clients ?? []));
  if (most > LOAD_CLIENTS_MAX && experiments?.join() !== 'idle')
    throw new UsageError(
      '--clients',
      most,
      `at most ${LOAD_CLIENTS_MAX}, except with --experiment idle alone`,
    );
  const targets = given.targets ?? [];
  const labels = targets.map(({ name }) => name);
  const taken = labels.find((name, i) => labels.indexOf(name) !== i || OWN_LABELS.includes(name));
  if (taken !== undefined) throw new UsageError('--target', taken, 'a name that is not taken');
  return {
    ...given,
    experiments,
    targets,
    serverArgs: given.serverArgs ?? [],
    seed: given.seed ?? randomSeed(),
    baseline: given.baseline ?? null,
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
        'Compares the strategies, and other echo servers, under the same loads on this machine, and writes a report.',
      flags: FLAGS,
      ending: ENDING,
    },
    (given) => run(read(given)),
  );
}
