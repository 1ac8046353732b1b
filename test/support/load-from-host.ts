/**
 * A child process: the load generator of bench/ against any address, for hosts in network namespaces of the test.
 *
 *     node test/support/load-from-host.ts ADDRESS [flags of bench/load/main.ts] --stdin-stops
 *
 * Prints one line of JSON for each run (LoadResult), and repeats the run until standard input ends it: a run of churn
 * ends by itself before its source address runs out of ports.
 */
import { loadOptions } from '../../bench/load/load-options.ts';
import { run } from '../../bench/load/run-load.ts';
import type { LoadResult } from '../../bench/load/schema.ts';

const [address = '', ...flags] = process.argv.slice(2);
const options = { ...loadOptions(flags), address };
let result: LoadResult;
do {
  result = run(options);
  process.stdout.write(`${JSON.stringify(result)}\n`);
} while (!result.partial);
