/**
 * `npm run sim`: the scale table of the simulation.
 */
import { numberFlag, parseFlags, runProgram } from '../flags.ts';
import { printTable } from '../sim/table.ts';

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

async function main(): Promise<number> {
  const flags = parseFlags({
    options: {
      quick: { type: 'boolean', default: false },
      seed: { type: 'string', default: '1' },
      batch: { type: 'string', default: '1' },
    },
  });
  const options = {
    quick: flags.quick,
    seed: numberFlag('--seed', flags.seed, 0, 0xffff_ffff),
    batch: numberFlag('--batch', flags.batch, 1, 1024),
  };
  await printTable(options, (line) => process.stdout.write(`${line}\n`));
  return 0;
}

await runProgram('sim', USAGE, main);
