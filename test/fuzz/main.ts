/**
 * `npm run fuzz`: random client scripts against a server, checked against the model (see USAGE).
 *
 * Exit codes: 0 no deviation from the model, 1 a deviation, 2 wrong usage.
 */
import { environmentLines } from '../../bench/environment.ts';
import { numberFlag, parseFlags, runProgram } from '../../bench/flags.ts';
import { STRATEGIES, type StrategyName, UsageError } from '../../src/index.ts';
import type { GivenOptions } from '../../src/options/index.ts';
import { names } from '../../src/options/values.ts';
import { type FuzzFailure, type FuzzOptions, type FuzzResult, fuzz } from './fuzz.ts';
import { describeScript } from './script.ts';

const USAGE = `usage: npm run fuzz -- [options]

Each script is the life of one connection: sends, urgent data, pauses, partial
reads, half-closes, resets. It must get back what it sent, in order, and then
the FIN; after each 1,000 scripts the server's counters must agree.

  --strategy A,B      of ${STRATEGIES.join(', ')} (all, one after another)
  --scripts N         scripts for each strategy (100000); kthread needs a
                      thread for each, 50 to 150 a second
  --minutes N         time limit for each strategy (60)
  --seed N            seed of the scripts (random)
  --concurrency N     scripts at a time (64)
  --from N            index of the first script (0)
  --only N            script N alone
  --stall-ms N        a script without progress for this time fails (30000)
  --shrink-ms N       time for repeating a failed script alone and shrinking it
                      (20000)
  --server JSON       further API options of the server, such as
                      '{"service":["sleep:1ms"]}'
  --no-urgent         send no urgent data
  --against NAME      a faulty server of liar-main.ts instead, to see a failure
  --help              this text
`;

const FLAGS = {
  strategy: { type: 'string', default: STRATEGIES.join(',') },
  scripts: { type: 'string', default: '100000' },
  minutes: { type: 'string', default: '60' },
  seed: { type: 'string' },
  concurrency: { type: 'string', default: '64' },
  from: { type: 'string', default: '0' },
  only: { type: 'string' },
  'stall-ms': { type: 'string', default: '30000' },
  'shrink-ms': { type: 'string', default: '20000' },
  server: { type: 'string', default: '{}' },
  against: { type: 'string' },
  'no-urgent': { type: 'boolean', default: false },
} as const;

const SEED_MAX = 2 ** 32 - 1;
const SCRIPTS_MAX = 1_000_000; // limited by the source ports (bench/load/sources.ts)
const INDEX_MAX = 2 ** 31 - 1;
const REPORT_EVERY_MS = 10_000;

/** Enough threads for the concurrent scripts, but few enough that some have to wait. */
const SERVERS: Record<StrategyName, GivenOptions> = {
  kthread: { strategy: 'kthread', maxWorkers: 64 },
  workqueue: { strategy: 'workqueue', workers: 16 },
  cmwq: { strategy: 'cmwq', cpus: 2 },
};

function serverOptions(text: string): GivenOptions {
  try {
    return JSON.parse(text) as GivenOptions;
  } catch {
    throw new UsageError('--server', text, 'a JSON object');
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

function replay(name: string, options: FuzzOptions, from: number, scripts: number): string {
  const which = scripts === 1 ? `--only ${from}` : `--from ${from} --scripts ${scripts}`;
  const urgent = options.urgent ? '' : ' --no-urgent';
  const server = typeof options.server === 'string' ? '--against' : '--strategy';
  return `npm run fuzz -- ${server} ${name} --seed ${options.seed} ${which} --concurrency ${options.concurrency}${urgent}`;
}

function reportFailure(
  name: string,
  options: FuzzOptions,
  { failed, batch, what, smallest }: FuzzFailure,
): void {
  say(`FAILED ${name}: ${what}`);
  if (failed !== null) {
    say(`  seed ${options.seed}, script ${failed.script.index}, operation ${failed.at + 1}`);
    say(`  ${describeScript(failed.script, failed.at)}`);
    say(smallest === null ? '  does not fail alone' : `  smallest that fails: ${describeScript(smallest)}`);
    say(`  replay: ${replay(name, options, failed.script.index, 1)}`);
  }
  say(`  replay its batch: ${replay(name, options, batch.from, batch.scripts)}`);
}

function report(name: string, result: FuzzResult): void {
  const { scripts, elapsedMs, orderly, sentBytes, receivedBytes, spills, operations, longest } = result;
  const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(0);
  say(
    `${name}: ${scripts} scripts in ${(elapsedMs / 1000).toFixed(1)} s, ${((scripts / elapsedMs) * 1000).toFixed(0)}/s; ` +
      `${orderly} read to the end, ${scripts - orderly} cut short; ${mib(sentBytes)} MiB sent, ` +
      `${mib(receivedBytes)} MiB echoed; ${spills} spills`,
  );
  const counts = Object.entries(operations).sort(([, a], [, b]) => b - a);
  say(`  longest wait of a script: ${longest.waitMs.toFixed(0)} ms (script ${longest.index})`);
  say(`  operations: ${counts.map(([kind, count]) => `${kind} ${count}`).join(', ')}`);
}

function progress(name: string): (done: number, elapsedMs: number) => void {
  let nextMs = REPORT_EVERY_MS;
  return (done, elapsedMs) => {
    if (elapsedMs < nextMs) return;
    nextMs = elapsedMs + REPORT_EVERY_MS;
    process.stderr.write(`${name}: ${done} scripts after ${(elapsedMs / 1000).toFixed(0)} s\n`);
  };
}

await runProgram('fuzz', USAGE, async () => {
  const flags = parseFlags({ args: process.argv.slice(2), options: FLAGS, strict: true });
  const only = flags.only === undefined ? null : numberFlag('--only', flags.only, 0, INDEX_MAX);
  const common = {
    seed: numberFlag('--seed', flags.seed ?? String(Math.floor(Math.random() * SEED_MAX)), 0, SEED_MAX),
    from: only ?? numberFlag('--from', flags.from, 0, INDEX_MAX),
    scripts: only !== null ? 1 : numberFlag('--scripts', flags.scripts, 1, SCRIPTS_MAX),
    limitMs: numberFlag('--minutes', flags.minutes, 0.1, 1440, true) * 60_000,
    concurrency: numberFlag('--concurrency', flags.concurrency, 1, 4000),
    stallMs: numberFlag('--stall-ms', flags['stall-ms'], 100, 600_000),
    shrinkMs: numberFlag('--shrink-ms', flags['shrink-ms'], 0, 600_000),
    urgent: !flags['no-urgent'],
  };
  const added = serverOptions(flags.server);
  for (const line of environmentLines()) say(line);
  say(`seed ${common.seed}, ${common.concurrency} scripts at a time`);
  const chosen =
    flags.against === undefined ? names(STRATEGIES)(flags.strategy, '--strategy') : [flags.against];
  for (const name of chosen) {
    const server = flags.against ?? { ...SERVERS[name as StrategyName], ...added }; // from names()
    const options: FuzzOptions = { ...common, server, onBatch: progress(name) };
    const result = await fuzz(options);
    report(name, result);
    if (result.failure === null) continue;
    reportFailure(name, options, result.failure);
    return 1;
  }
  say('every script got back what it sent, and the counters agree');
  return 0;
});
