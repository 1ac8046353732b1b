/**
 * Command lines, environments and values for the fuzz tests of options: the real options (OPTION_SPECS, so a new one is
 * covered at once) with values at and around their limits, and hostile ones.
 */
import fc from 'fast-check';
import { environmentName } from '../../src/cli/environment.ts';
import { OPTION_SPECS, type OptionSpec } from '../../src/options/index.ts';
import { sized } from './size.ts';

/** FUZZ_SEED repeats or varies a run, FUZZ_RUNS sets the number of values. */
export const SEED = { seed: Number(process.env.FUZZ_SEED ?? 1) };
export const RUNS = Number(process.env.FUZZ_RUNS ?? sized(1500));

export type Environment = Record<string, string>;
export interface CommandLine {
  args: string[];
  environment: Environment;
}

export const HOSTILE = [
  '',
  ' ',
  '0',
  '-0',
  '-1',
  '+1',
  '1.5',
  '1e3',
  '0x10',
  '٣',
  '１２',
  'NaN',
  'Infinity',
  '-Infinity',
  'null',
  'undefined',
  'true',
  'false',
  '00000000001',
  '9007199254740993',
  '99999999999999999999',
  '1'.repeat(400),
  'x'.repeat(5000),
  '10s',
  '1.5ms',
  '0.0001s',
  '5m',
  '999999999m',
  '64MiB',
  '4GiB',
  '9999999999999GiB',
  'burn:1ms',
  'cpu-intensive,sleep:0.5ms,burn:2s',
  'burn:1ms;sleep:1ms',
  ';',
  'sleep:-1ms',
  '--',
  '-',
  '--port',
  '--port=1',
  '-p5',
  '=',
  '=1',
  'two words',
  'two\nlines',
  'carriage\rreturn',
  'tab\there',
  'escape\u001b[31m',
  'c1\u009b31m',
  'line\u2028separator',
  'right\u202eto left',
  'lone \ud800 surrogate',
  '\u{1f980}',
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '{"a":1}',
  '[1,2]',
  '/etc/passwd',
  '../../x',
  "quote's",
  '"',
  '%s%n',
  '$(id)',
  '::1',
  '127.0.0.1',
  'localhost',
  'cmwq',
  'CMWQ',
  'kthread',
  'workqueue',
  'info',
] as const;

/** Values at and around the limits of an option, and some valid ones. */
export function plausible({ kind }: OptionSpec): string[] {
  const around = (low: number, high: number, unit: string) =>
    [low - 1, low, low + 1, Math.min(high, low + 7), high - 1, high, high + 1].map((n) => `${n}${unit}`);
  switch (kind.type) {
    case 'integer':
      return around(kind.min, kind.max, '');
    case 'duration':
      return [...around(kind.minMs, kind.maxMs, 'ms'), '1s', '2s', '0'];
    case 'size':
      return [...around(kind.minBytes, kind.maxBytes, 'B'), '1MiB', '0'];
    case 'choice':
      return [...kind.among];
    case 'boolean':
      return ['true', 'no', 'ON', '2'];
    case 'services':
      return ['burn:1ms', 'sleep:1ms,burn:0.5ms', 'cpu-intensive', 'burn:1', 'burn:1ms,'];
    case 'module':
      return ['./work.ts', './work.js#name', '#name', 'a b'];
    default:
      return ['127.0.0.1', '::1', 'localhost', 'a b'];
  }
}

export const spec = fc.constantFrom(...OPTION_SPECS);
export const hostile = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...HOSTILE) },
  { weight: 1, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
  { weight: 1, arbitrary: fc.integer().map(String) },
);
function valueFor(option: OptionSpec): fc.Arbitrary<string> {
  return fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...plausible(option)) },
    { weight: 1, arbitrary: hostile },
  );
}
const odd = fc.constantFrom(
  '-',
  '--',
  '---',
  '--bogus',
  '--bogus=1',
  '-z',
  '--no-port',
  '--PORT',
  '--__proto__',
  '--x--pretty',
);
const PLAIN = [['--no-pretty'], ['serve'], ['--strategy', 'kthread'], ['-s', 'workqueue']];
const argument: fc.Arbitrary<string[]> = fc.oneof(
  {
    weight: 30,
    arbitrary: spec.chain((option) => valueFor(option).map((value) => written(option, value, 'apart'))),
  },
  {
    weight: 10,
    arbitrary: spec.chain((option) => valueFor(option).map((value) => written(option, value, 'joined'))),
  },
  {
    weight: 4,
    arbitrary: spec.chain((option) => valueFor(option).map((value) => written(option, value, 'short'))),
  },
  { weight: 2, arbitrary: spec.map((option) => [`--${option.flag}`]) },
  { weight: 1, arbitrary: odd.map((text): string[] => [text]) },
  { weight: 1, arbitrary: hostile.map((text): string[] => [text]) },
  { weight: 1, arbitrary: fc.constantFrom(...PLAIN) },
);

export function written(option: OptionSpec, value: string, how: 'apart' | 'joined' | 'short'): string[] {
  const short = option.short === undefined ? `--${option.flag}` : `-${option.short}`;
  if (option.kind.type === 'boolean')
    return how === 'joined' ? [`--${option.flag}=${value}`] : [`--${option.flag}`];
  if (how === 'apart') return [`--${option.flag}`, value];
  if (how === 'joined') return [`--${option.flag}=${value}`];
  return option.short === undefined ? [short, value] : [`${short}${value}`];
}

const variable = spec.chain((option) =>
  valueFor(option).map((value) => [environmentName(option), value] as const),
);
const strangeVariable = fc.constantFrom(
  ['KECHO_POOL_', 'x'],
  ['KECHO_POOL_BOGUS', '1'],
  ['KECHO_POOL___PROTO__', '1'],
);
const environment = fc
  .array(fc.oneof({ weight: 9, arbitrary: variable }, { weight: 1, arbitrary: strangeVariable }), {
    maxLength: 2,
  })
  .map((entries): Environment => Object.fromEntries(entries));
export const commandLine: fc.Arbitrary<CommandLine> = fc.record({
  args: fc.array(argument, { maxLength: 4 }).map((all) => all.flat()),
  environment,
});
