/**
 * Goal: whatever object the API gets, its options are either accepted and within the documented range, or refused with
 * a UsageError that names the option and what is allowed, in one line.
 * Method: random objects of real options with values of all types, and of unknown names.
 * test/support/random-options.ts tells how to repeat or vary a run.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createEchoServer } from '../src/index.ts';
import { OPTION_SPECS, type OptionSpec, UsageError } from '../src/options/index.ts';
import { expectInRange, expectOneLine } from './support/option-checks.ts';
import { RUNS, SEED, spec } from './support/random-options.ts';

const apiObject = fc.oneof(
  fc.array(
    fc.tuple(spec, fc.anything({ withBigInt: true, withDate: true, withMap: true, withTypedArray: true })),
    {
      maxLength: 3,
    },
  ),
  fc.array(
    spec.chain((option) =>
      fc.constantFrom<unknown>(...apiValues(option)).map((value) => [option, value] as [OptionSpec, unknown]),
    ),
    { maxLength: 3 },
  ),
);

function apiValues({ kind }: OptionSpec): unknown[] {
  const wrong = [
    null,
    Number.NaN,
    Infinity,
    -1,
    1.5,
    '5',
    [],
    {},
    () => 1,
    Symbol('x'),
    10n,
    new Date(0),
    true,
  ];
  if (kind.type === 'integer') return [...wrong, kind.min - 1, kind.min, kind.max, kind.max + 1, 5];
  if (kind.type === 'duration') return [...wrong, kind.minMs - 1, kind.minMs, kind.maxMs, kind.maxMs + 1];
  if (kind.type === 'size') return [...wrong, kind.minBytes - 1, kind.minBytes, 2 ** 20, kind.maxBytes + 1];
  if (kind.type === 'choice') return [...wrong, ...kind.among];
  if (kind.type === 'services')
    return [...wrong, ['burn:1ms'], ['burn'], [5], Array.from({ length: 65 }, () => 'burn:1ms')];
  return wrong;
}

describe('the API', () => {
  const create = (given: object, names: readonly string[]): boolean => {
    try {
      const { options } = createEchoServer({ logLevel: 'silent', ...given });
      expectInRange(options);
      return true;
    } catch (error) {
      expect(error).toBeInstanceOf(UsageError);
      const { option, message, allowed } = error as UsageError;
      expect([...names, 'descriptor limit (ulimit -n)']).toContain(option); // too many threads
      expect(allowed).not.toBe('');
      expect(error).toHaveProperty('value');
      expectOneLine(message);
      return false;
    }
  };

  it('accepts an object of options or throws UsageError', { timeout: 300_000 }, () => {
    let taken = 0;
    const check = (entries: [OptionSpec, unknown][]) => {
      const given = Object.fromEntries(entries.map(([{ key }, value]) => [key, value]));
      if (create(given, Object.keys(given))) taken++;
    };
    fc.assert(fc.property(apiObject, check), { numRuns: RUNS / 5, ...SEED });
    expect(taken).toBeGreaterThan(0);
  });

  it('throws UsageError for unknown names', () => {
    const name = fc.oneof(
      fc.constantFrom('__proto__', 'constructor', 'prot', '', 'Port', 'port\n'),
      fc.string(),
    );
    const known = new Set<string>([...OPTION_SPECS.map(({ key }) => key), 'logger']);
    fc.assert(
      fc.property(
        name.filter((each) => !known.has(each)),
        fc.anything(),
        (key, value) => {
          const given = Object.defineProperty({}, key, { value, enumerable: true });
          expect(create(given, [key])).toBe(false);
        },
      ),
      SEED,
    );
  });
});
