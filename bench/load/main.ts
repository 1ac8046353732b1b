/**
 * The load generator: a process of its own that loads one echo server on this machine, checks every byte
 * that comes back, and prints one line of JSON (LoadResult) on stdout.
 *
 *     node bench/load/main.ts --port P [--mode burst|closed|open|churn] [--clients N] [--bytes N] ...
 *
 * Exit codes: 0 a result was printed, errors counted in it; 1 the generator itself failed; 2 bad usage.
 * It never runs longer than its options add up to, and it refuses targets that are not this machine. With
 * --stdin-stops the end of standard input ends the run early, and signals of the terminal are left to the parent.
 */
import { descriptorLimit } from '../../src/sys/socket.ts';
import { runProgram } from '../flags.ts';
import { checkDescriptors, loadOptions } from './load-options.ts';
import { drive } from './run-load.ts';

await runProgram('bench/load', null, () => {
  const options = loadOptions(process.argv.slice(2));
  checkDescriptors(options.clients, descriptorLimit());
  // The handler never runs, since drive() does not return to the event loop; that it exists is enough.
  if (options.stdinStops) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  process.stdout.write(`${JSON.stringify(drive(options))}\n`);
  return 0;
});
