/**
 * `npm run bench:generator`: is the load generator fast enough to measure with?
 *
 * It and a load generator in C (peers/client.c) that does the same work take turns on the same C epoll server: closed
 * loop, every byte checked. The rates are compared pair by pair. The main thread only waits; it owns the order of the
 * runs and the text on stdout. Exit codes: 0 measured, target met or not; 1 an error or a wrong byte; 2 bad usage.
 */
import { ChildProcess, exitOnStopSignal } from '../child-process.ts';
import { numberFlag, parseFlags, runProgram } from '../flags.ts';
import type { LoadResult } from '../load/schema.ts';
import { GENERATOR_COMMAND } from '../load/start.ts';
import { builtPeer } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { median } from '../stats/summary.ts';

const TARGET_RATIO = 0.8;
const MARGIN_MS = 10_000;

const USAGE = `usage: npm run bench:generator -- [options]

  --repeat N       pairs of runs for each number of clients (5)
  --seconds S      measured window of one run (1)
  --warmup S       load before the window opens (1)
  --clients A,B    numbers of clients (1,10,100,1000)
  --help           this text
`;

const FLAGS = {
  repeat: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '1' },
  warmup: { type: 'string', default: '1' },
  clients: { type: 'string', default: '1,10,100,1000' },
} as const;

interface Plan {
  warmupMs: number;
  durationMs: number;
  repeat: number;
  port: number;
}

async function rate(
  what: string,
  command: string,
  first: readonly string[],
  clients: number,
  plan: Plan,
): Promise<[number, number]> {
  const { port, warmupMs, durationMs } = plan;
  const flags = { port, clients, bytes: 64, 'warmup-ms': warmupMs, 'duration-ms': durationMs };
  const args = [...first, ...Object.entries(flags).flatMap(([name, value]) => [`--${name}`, String(value)])];
  const child = new ChildProcess(what, command, args);
  const result = await child.result<LoadResult | { perSecond: number; cpuShare: number }>(
    warmupMs + durationMs + MARGIN_MS,
  );
  if ('cpuShare' in result) return [result.perSecond, result.cpuShare];
  if (result.errorTotal > 0) throw new Error(`${what}: ${result.errorDetails.join('; ')}`);
  return [result.perSecond, result.generatorCpuShare];
}

/** One line: both rates, the ratio within the pairs, and both generators' share of a core. */
async function compare(client: string, clients: number, plan: Plan): Promise<string> {
  const own: [number, number][] = [];
  const yardstick: [number, number][] = [];
  for (let i = 0; i < plan.repeat; i++) {
    const runOwn = async () =>
      own.push(
        await rate('load generator', GENERATOR_COMMAND.command, GENERATOR_COMMAND.args, clients, plan),
      );
    const runC = async () => yardstick.push(await rate('C client', client, [], clients, plan));
    for (const run of i % 2 === 0 ? [runOwn, runC] : [runC, runOwn]) await run();
  }
  const ratios = own.map(([perSecond], i) => perSecond / (yardstick[i]?.[0] ?? Number.NaN));
  const rates = [own, yardstick].map((runs) => median(runs.map(([perSecond]) => perSecond)).toFixed(0));
  const shares = [own, yardstick].map((runs) => median(runs.map(([, share]) => share)).toFixed(2));
  const ratio = median(ratios);
  return [
    String(clients).padStart(5),
    ...rates.map((text) => text.padStart(10)),
    `  ${ratio.toFixed(2)} (${Math.min(...ratios).toFixed(2)}-${Math.max(...ratios).toFixed(2)})`,
    `  ${shares.join(' / ')}`,
    `  ${ratio >= TARGET_RATIO ? 'met' : 'missed'}`,
  ].join(' ');
}

async function main(): Promise<number> {
  const flags = parseFlags({ options: FLAGS, strict: true });
  const counts = flags.clients.split(',').map((text) => numberFlag('--clients', text, 1, 4000));
  const seconds = numberFlag('--seconds', flags.seconds, 0.1, 60, true);
  const warmup = numberFlag('--warmup', flags.warmup, 0, 60, true);
  const repeat = numberFlag('--repeat', flags.repeat, 1, 100);
  exitOnStopSignal();
  const client = builtPeer('client.c');
  const command = { command: builtPeer('epoll.c'), args: ['--threads', '2'] };
  await using server = await ServerUnderTest.start('C epoll', command);
  process.stdout.write(
    `requests per second against the C epoll server, 64 B, medians of ${repeat} pairs; target: at least ${TARGET_RATIO}\n` +
      'clients       bench   C client   ratio (all pairs)   share of a core\n',
  );
  for (const clients of counts) {
    const plan = { warmupMs: warmup * 1000, durationMs: seconds * 1000, repeat, port: server.port };
    process.stdout.write(`${await compare(client, clients, plan)}\n`);
  }
  return 0;
}

await runProgram('bench:generator', USAGE, main);
