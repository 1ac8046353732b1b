/**
 * Goal: whatever is written on the command lines of bench, of compare and of the load generator, it is either taken
 * or refused with a complaint of one line.
 * Method: random command lines of their flags with plausible and hostile values, in this process.
 * test/support/random-options.ts says how to repeat or vary a run.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareOptions } from '../bench/compare/compare-options.ts';
import { UsageError as BenchUsageError } from '../bench/flags.ts';
import { benchOptions } from '../bench/load/command/bench-options.ts';
import { loadOptions } from '../bench/load/load-options.ts';
import { hostile, RUNS, SEED } from './support/random-options.ts';

describe('bench and compare', () => {
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
    ['bench', (given: string[]) => benchOptions(given)],
    ['compare', (given: string[]) => compareOptions(given)],
    ['the generator', (given: string[]) => loadOptions(given)],
  ])('%s: options, or a complaint of one line', (_name, parseOptions) => {
    const check = (given: string[]) => {
      try {
        parseOptions(given);
      } catch (error) {
        expect(error).toBeInstanceOf(BenchUsageError);
        expect((error as Error).message).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }
    };
    fc.assert(fc.property(args, check), { numRuns: RUNS / 3, ...SEED });
  });
});
