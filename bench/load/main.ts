/**
 * The load generator: a separate process that loads one echo server, checks every byte of the echoes,
 * and prints one line of JSON (LoadResult) to stdout.
 *
 *     node bench/load/main.ts --port P [--mode burst|closed|open|churn] [--clients N] [--bytes N] ...
 *
 * Exit codes: 0 a result was printed, errors counted in it; 1 the generator itself failed; 2 bad usage.
 * Its options bound its run time, and it refuses targets on other machines without --remote. With --stdin-stops the end of standard
 * input ends the run early, and terminal signals are left to the parent.
 */
import { descriptorLimit } from '../../src/sys/socket.ts';
import { runProgram } from '../flags.ts';
import { checkDescriptors, loadOptions } from './load-options.ts';
import { run } from './run-load.ts';

await runProgram('bench/load', null, () => {
  const options = loadOptions(process.argv.slice(2));
  checkDescriptors(options.clients, descriptorLimit());
  // drive() does not return to the event loop, so the handler never runs; it only replaces the default action.
  if (options.stdinStops) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {});
  process.stdout.write(`${JSON.stringify(run(options))}\n`);
  return 0;
});
