/**
 * `npm run bench:management`: the gain from concurrency management, timed.
 *
 * Sleepers: 20 clients whose handlers sleep 100 ms, against each strategy. Spinners: 4 clients whose handlers
 * burn 50 ms in one CPU pool, with and without the CPU-intensive threshold. Each figure is the median of several rounds on a warm
 * server, from the first request to the last echo.
 */
import { exitOnStopSignal } from '../child-process.ts';
import { numberFlag, parseFlags, runProgram } from '../flags.ts';
import { median } from '../stats/summary.ts';
import { Rounds } from './rounds.ts';

const USAGE = `usage: npm run bench:management -- [options]

  --rounds N  measured rounds of each case, from 1 to 99 (5)
  --help      this text

Exit codes: 0 measured, goals met or not, 1 an error or a wrong byte,
2 wrong usage.
`;

const FLAGS = {
  rounds: { type: 'string', default: '5' },
} as const;

interface Case {
  name: string;
  args: readonly string[];
  clients: number;
  /** Rounds before the measured ones: a pool that creates threads on demand needs some to grow. */
  warmup: number;
  goal: string;
}

const CASES: readonly Case[] = [
  {
    name: 'sleep 100 ms, cmwq, 1 CPU pool',
    args: ['-s', 'cmwq', '--cpus', '1', '--service', 'sleep:100ms'],
    clients: 20,
    warmup: 12,
    goal: 'within 130 ms',
  },
  {
    name: 'sleep 100 ms, workqueue, 2 workers',
    args: ['-s', 'workqueue', '--workers', '2', '--service', 'sleep:100ms'],
    clients: 20,
    warmup: 0,
    goal: 'about 1,000 ms',
  },
  {
    name: 'sleep 100 ms, kthread',
    args: ['-s', 'kthread', '--service', 'sleep:100ms'],
    clients: 20,
    warmup: 1,
    goal: 'about 100 ms once the threads exist',
  },
  {
    name: 'burn 50 ms, cmwq, 1 CPU pool',
    args: ['-s', 'cmwq', '--cpus', '1', '--service', 'burn:50ms'],
    clients: 4,
    warmup: 4,
    goal: 'under 150 ms on two cores',
  },
  {
    name: 'burn 50 ms, cmwq, threshold 0',
    args: ['-s', 'cmwq', '--cpus', '1', '--cpu-intensive-thresh', '0', '--service', 'burn:50ms'],
    clients: 4,
    warmup: 4,
    goal: 'one after another: 200 ms',
  },
];

/** Milliseconds from the first request to the last echo, of each measured round. */
async function measure({ name, args, clients, warmup }: Case, rounds: number): Promise<number[]> {
  await using each = await Rounds.start(name, args, clients);
  for (let n = 0; n < warmup; n++) await each.next();
  const times: number[] = [];
  for (let n = 0; n < rounds; n++) times.push(Math.max(...(await each.next())));
  return times;
}

async function main(): Promise<number> {
  const flags = parseFlags({ options: FLAGS });
  const rounds = numberFlag('--rounds', flags.rounds, 1, 99);
  exitOnStopSignal();
  for (const each of CASES) {
    const times = await measure(each, rounds);
    const [middle, least, most] = [median(times), Math.min(...times), Math.max(...times)].map(Math.round);
    console.log(
      `${each.name.padEnd(36)} ${each.clients} clients: ${middle} ms (${least}-${most}); ${each.goal}`,
    );
  }
  return 0;
}

await runProgram('bench:management', USAGE, main);
