/**
 * `npm run bench:hand-off`: what passing the run slot costs, against threads that simply sleep.
 *
 * 50 clients in closed loop whose handlers sleep, with and without computing first: cmwq, a workqueue with a worker for each
 * client, and kthread, one after another in each round, each a new process. Medians over the rounds and of the ratios within
 * each, with ranges. Exit codes: 0 measured, 1 an error or a wrong byte, 2 wrong usage.
 */
import { exitOnStopSignal } from '../child-process.ts';
import { environment, environmentLines } from '../environment.ts';
import { numberFlag, parseFlags, runProgram } from '../flags.ts';
import { errorTotal } from '../load/result.ts';
import type { LoadResult } from '../load/schema.ts';
import { startLoad } from '../load/start.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { median } from '../stats/summary.ts';

const USAGE = `usage: npm run bench:hand-off -- [options]

  --rounds N   rounds of each case, from 1 to 99 (5)
  --warmup S   seconds of load before each measurement, from 1 to 300 (20): the
               code of 50 threads is compiled 50 times
  --seconds S  length of a measurement, from 1 to 60 (4)
  --help       this text

Exit codes: 0 measured, 1 an error or a wrong byte,
2 wrong usage.
`;
const FLAGS = {
  rounds: { type: 'string', default: '5' },
  warmup: { type: 'string', default: '20' },
  seconds: { type: 'string', default: '4' },
} as const;

const CLIENTS = 50;
/** kthread creates a thread for each client, 30 ms each or more. */
const ANSWER_TIMEOUT_MS = 30_000;
const SERVICES = ['burn:2ms,sleep:20ms', 'sleep:20ms'];
const SERVERS: Record<string, readonly string[]> = {
  cmwq: ['--strategy', 'cmwq'],
  workqueue: ['--strategy', 'workqueue', '--workers', String(CLIENTS)],
  kthread: ['--strategy', 'kthread'],
};
const FIGURES: Record<string, (result: LoadResult) => number> = {
  'echoes/s': ({ perSecond }) => perSecond,
  'p50 ms': ({ response }) => response.p50Ms,
  'p99 ms': ({ response }) => response.p99Ms,
  'CPU us/echo': ({ serverCpuPerSampleUs }) => serverCpuPerSampleUs ?? Number.NaN,
};

async function measure(args: readonly string[], warmupMs: number, durationMs: number): Promise<LoadResult> {
  await using server = await ServerUnderTest.start('server', kechoPool(args));
  await using generator = startLoad({
    mode: 'closed',
    port: server.port,
    clients: CLIENTS,
    bytes: 64,
    'warmup-ms': warmupMs,
    'duration-ms': durationMs,
    'timeout-ms': ANSWER_TIMEOUT_MS,
    'watch-pid': server.process.pid,
  });
  const result: LoadResult = await generator.result(warmupMs + durationMs + 3 * ANSWER_TIMEOUT_MS);
  if (errorTotal(result.errors) > 0) throw new Error(`${args.join(' ')}: ${result.errorDetails.join('; ')}`);
  return result;
}

function spread(values: readonly number[]): string {
  const [middle, least, most] = [median(values), Math.min(...values), Math.max(...values)];
  return [middle, least, most].map((value) => value.toPrecision(3)).join(' ');
}

/** Each figure of each server, and its ratio to cmwq's in the same round. */
function report(service: string, rounds: readonly Record<string, LoadResult>[]): void {
  console.log(`\n${service}: median, least, most; then cmwq's as a ratio to it`);
  for (const name of Object.keys(SERVERS)) {
    const cells = Object.entries(FIGURES).map(([title, figure]) => {
      const values = rounds.flatMap(({ [name]: result }) => (result === undefined ? [] : [figure(result)]));
      const ratios = values.map((value, n) => {
        const { cmwq } = rounds[n] ?? {};
        return cmwq === undefined ? Number.NaN : figure(cmwq) / value;
      });
      return `  ${name.padEnd(10)} ${title.padEnd(12)} ${spread(values).padEnd(24)} ${spread(ratios)}`;
    });
    console.log(cells.join('\n'));
  }
}

async function main(): Promise<number> {
  const flags = parseFlags({ options: FLAGS });
  const count = numberFlag('--rounds', flags.rounds, 1, 99);
  const warmupMs = 1000 * numberFlag('--warmup', flags.warmup, 1, 300);
  const durationMs = 1000 * numberFlag('--seconds', flags.seconds, 1, 60);
  exitOnStopSignal();
  console.log(environmentLines([], environment()).join('\n'));
  for (const service of SERVICES) {
    const rounds: Record<string, LoadResult>[] = [];
    for (let n = 0; n < count; n++) {
      const round: Record<string, LoadResult> = {};
      const names = Object.keys(SERVERS);
      for (const name of n % 2 === 0 ? names : names.reverse()) {
        const args = [...(SERVERS[name] ?? []), '--service', service];
        round[name] = await measure(args, warmupMs, durationMs);
      }
      rounds.push(round);
    }
    report(service, rounds);
  }
  return 0;
}

await runProgram('bench:hand-off', USAGE, main);
