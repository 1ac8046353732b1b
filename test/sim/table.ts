/**
 * `npm run sim`: the scale table. CPU pools from 1 to 256, connections from 10 to 1,000,000, in the simulation.
 */
import { numberFlag, parseFlags, runProgram } from '../../bench/flags.ts';
import { runScale, type ScaleResult } from './scale.ts';

const POOLS = [1, 2, 4, 16, 64, 256];
const CONNECTIONS = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
const QUICK_POOLS = [1, 2, 4, 16, 64];
const QUICK_CONNECTIONS = [10, 100, 1_000, 10_000];

const USAGE = `usage: npm run sim -- [--quick] [--seed n] [--batch n]

  --quick    up to 64 CPU pools and 10,000 connections
  --seed n   order of simultaneous events (default 1)
  --batch n  events that a worker takes at a time (default 1, as with services)

place      real time to place all connections, and per connection
hand-offs  times a worker came into a run slot, per item
spread     connections of the fullest pool less those of the emptiest
Jain       evenness of the times between a connection's first and second turn,
           1 = all alike
long/short the longest of these times divided by the shortest
threads    at most at the same time, with the rescuer
virtual    simulated time until the last answer
`;

const COLUMNS = [
  ['pools', 5],
  ['connections', 12],
  ['place ms', 9],
  ['us each', 8],
  ['hand-offs', 10],
  ['spread', 7],
  ['Jain', 7],
  ['long/short', 11],
  ['threads', 8],
  ['virtual ms', 11],
] as const;

function line(cells: readonly string[]): string {
  return COLUMNS.map(([, width], i) => (cells[i] ?? '').padStart(width)).join(' ');
}

function row(result: ScaleResult): string {
  const { cpus, connections, placeMs, handOffsPerItem, spread, jain, longestToShortest } = result;
  return line([
    String(cpus),
    connections.toLocaleString('en'),
    placeMs.toFixed(1),
    ((placeMs * 1000) / connections).toFixed(2),
    handOffsPerItem.toFixed(3),
    String(spread),
    jain.toFixed(3),
    longestToShortest.toFixed(2),
    String(result.threads),
    result.virtualMs.toFixed(1),
  ]);
}

function main(): number {
  const flags = parseFlags({
    options: {
      quick: { type: 'boolean' },
      seed: { type: 'string', default: '1' },
      batch: { type: 'string', default: '1' },
    },
  });
  const seed = numberFlag('--seed', flags.seed, 0, 0xffff_ffff);
  const batch = numberFlag('--batch', flags.batch, 1, 1024);
  const beganMs = performance.now();
  process.stdout.write(
    `seed ${seed}, batch ${batch}; two requests per connection, those of a fourth of them sleep\n`,
  );
  process.stdout.write(`${line(COLUMNS.map(([name]) => name))}\n`);
  for (const cpus of flags.quick ? QUICK_POOLS : POOLS) {
    for (const connections of flags.quick ? QUICK_CONNECTIONS : CONNECTIONS) {
      process.stdout.write(`${row(runScale(cpus, connections, seed, batch))}\n`);
    }
  }
  process.stdout.write(`${((performance.now() - beganMs) / 1000).toFixed(1)} s in all\n`);
  return 0;
}

await runProgram('sim', USAGE, main);
