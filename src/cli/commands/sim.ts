/**
 * The command line of `kecho-pool sim`.
 */
import type { Command } from 'commander';
import { outputTo } from '../../../bench/flags.ts';
import { processorsChart } from '../../../bench/report/processors-chart.ts';
import { printTable, processorsAtWork, type TableOptions } from '../../../bench/sim/table.ts';
import { destination, integer, STDOUT } from '../../options/values.ts';
import { flag, toggle, toolCommand } from '../flags.ts';

const SEED_MAX = 2 ** 32 - 1;
const BATCH_MAX = 1024;

const FLAGS = {
  quick: toggle('--quick', 'at most 64 CPU pools and 10,000 connections'),
  seed: flag('--seed <number>', 'seed of the order of simultaneous events', integer(0, SEED_MAX), '1'),
  batch: flag(
    '--batch <number>',
    `events that a worker takes at a time, 1 (as with services) to ${BATCH_MAX}`,
    integer(1, BATCH_MAX),
    '1',
  ),
  svg: flag(
    '--svg <file>',
    'draw instead how many of 8 to 64 processors are at work if all requests come to one CPU pool; - for standard output',
    destination,
  ),
};

type SimOptions = TableOptions & { svg?: string | undefined };

const DESCRIPTION = `Runs the code of cmwq on a virtual clock with simulated threads: 1 to 256 CPU pools, 10 to 1,000,000 connections, \
two requests each. The same seed gives the same table, except for the real times.`;

const ENDING = `Columns:
  place      real time to place all connections, and per connection
  hand-offs  run slots taken by a worker, per item
  spread     connections of the fullest pool less those of the emptiest
  Jain       fairness index of the times between a connection's first and second
             turn, 1 = all equal
  long/short longest of these times divided by the shortest
  threads    maximum number of simultaneous threads, with the rescuer
  virtual    simulated time until the last answer

Columns of the skewed loads:
  busy       CPU pools that have all the requests at first
  moved      connections moved between CPU pools; late: in the last quarter
  balanced   time until the last move
  Jain       fairness index of the pools' answers in the last quarter

Examples:
  $ kecho-pool sim --quick                      the small cases, in seconds
  $ kecho-pool sim --seed 7 --batch 16          another order, larger batches
  $ kecho-pool sim --svg processors.svg         a picture, computed

Exit codes:
  0  done
  1  the simulation failed
  2  wrong usage`;

async function draw(seed: number, file: string): Promise<void> {
  const write = outputTo('--svg', file);
  write(processorsChart(await processorsAtWork(seed)));
  if (file !== STDOUT) process.stdout.write(`written: ${file}\n`);
}

async function printToStdout({ svg, ...options }: SimOptions): Promise<number> {
  if (svg !== undefined) await draw(options.seed, svg);
  else await printTable(options, (line) => process.stdout.write(`${line}\n`));
  return 0;
}

/** `run` is for tests. */
export function command(run: (options: SimOptions) => Promise<number> = printToStdout): Command {
  return toolCommand({ name: 'sim', description: DESCRIPTION, flags: FLAGS, ending: ENDING }, run);
}
