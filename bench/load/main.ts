/**
 * The load generator: a process of its own that loads one echo server on this machine, checks every byte
 * that comes back, and prints one line of JSON (LoadResult) on stdout.
 *
 *     node bench/load/main.ts --port P [--mode closed|churn] [--connections N] [--bytes N] ...
 *
 * Exit codes: 0 a result was printed, errors counted in it; 1 the generator itself failed; 2 bad usage.
 * It never runs longer than its options add up to, and it refuses targets that are not this machine.
 */
import { descriptorLimit } from '../../src/sys/socket.ts';
import { runProgram, UsageError } from '../flags.ts';
import { drive } from './drive.ts';
import { loadOptions } from './options.ts';

// Node's own descriptors: its event loop, the standard streams, some in reserve.
const DESCRIPTOR_RESERVE = 64;

await runProgram('bench/load', () => {
  const options = loadOptions(process.argv.slice(2));
  const limit = descriptorLimit() - DESCRIPTOR_RESERVE;
  if (options.connections > limit) {
    throw new UsageError(
      `--connections ${options.connections} is more than the descriptor limit allows (${limit})`,
    );
  }
  process.stdout.write(`${JSON.stringify(drive(options))}\n`);
  return 0;
});
