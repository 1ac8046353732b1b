/**
 * Goal: every command line of the tools and the load generator is either accepted or refused in one line.
 * Method: random command lines of their flags with plausible and hostile values, in this process.
 * test/support/random-options.ts explains how to repeat or vary a run.
 */
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { loadOptions } from '../bench/load/load-options.ts';
import { command as bench } from '../src/cli/commands/bench.ts';
import { command as compare } from '../src/cli/commands/compare.ts';
import { command as demo } from '../src/cli/commands/demo.ts';
import { command as sim } from '../src/cli/commands/sim.ts';
import { command as timeline } from '../src/cli/commands/timeline.ts';
import { command as top } from '../src/cli/commands/top.ts';
import { complaintOf } from '../src/cli/complaint.ts';
import { expectOneLine } from './support/option-checks.ts';
import { parsed } from './support/parsed.ts';
import { hostile, RUNS, SEED } from './support/random-options.ts';

function fail(error: unknown): never {
  throw error;
}

describe('the tools', () => {
  const flags = [
    '--mode',
    '--clients',
    '--requests',
    '--size',
    '--repeat',
    '--duration',
    '--warmup',
    '--timeout',
  ];
  flags.push(
    '--seed',
    '--rate',
    '--arrivals',
    '--json',
    '--csv',
    '--hgrm',
    '--threshold',
    '--max-connections',
    '--help',
    '--plan',
  );
  flags.push(
    '--experiment',
    '--strategies',
    '--target',
    '--server-arg',
    '--baseline',
    '--out',
    '--quick',
    '--peers',
    '--only',
    '--svg',
    '--service',
    '--strategy',
    '--cpus',
    '--interval',
    '--once',
    '--admin',
    '--minutes',
  );
  flags.push('--bytes', '--port', '--address', '--watch-pid', '--warmup-ms', '--duration-ms', '--timeout-ms');
  const value = fc.oneof(
    hostile,
    fc.constantFrom('1,2', '1..10/2', '5', '100ms', 'p99<5ms', 'errors<1', 'a=b', 'burst'),
  );
  const args = fc
    .array(
      fc.oneof(
        fc.tuple(fc.constantFrom(...flags), value),
        fc.tuple(fc.constantFrom(...flags), value).map(([flag, text]) => [`${flag}=${text}`]),
        fc.tuple(value),
      ),
      { maxLength: 3 },
    )
    .map((all) => all.flat());

  it.each([
    ['bench', (given: string[]) => parsed(bench, given)],
    ['compare', (given: string[]) => parsed(compare, given)],
    ['timeline', (given: string[]) => parsed(timeline, given)],
    ['sim', (given: string[]) => parsed(sim, given)],
    ['top', (given: string[]) => parsed(top, given)],
    ['demo', (given: string[]) => parsed(demo, given)],
    ['the generator', (given: string[]) => loadOptions(given)],
  ])('accepts the options of %s or refuses them in one line', (_name, parseOptions) => {
    const check = (given: string[]) => {
      try {
        parseOptions(given);
      } catch (error) {
        if ((error as { exitCode?: number }).exitCode === 0) return; // help
        expectOneLine(complaintOf(error, bench()) ?? fail(error));
      }
    };
    fc.assert(fc.property(args, check), { numRuns: RUNS / 3, ...SEED });
  });
});
