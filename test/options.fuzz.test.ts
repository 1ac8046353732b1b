/**
 * Goal: whatever is written on the command line, into the environment or into the API's object, it is either taken,
 * and then means what it says and lies within the documented range, or refused with one line that names the option.
 * Never a stack, a socket, or another exit code.
 * Method: random command lines and environments made of the real options (OPTION_SPECS, so a new one is covered at
 * once) and hostile values. Thousands in this process, up to where the server would be made; some as a child
 * process. FUZZ_SEED repeats or varies, FUZZ_RUNS says how many.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compareOptions } from '../bench/compare/options.ts';
import { UsageError as BenchUsageError } from '../bench/flags.ts';
import { benchOptions } from '../bench/load/command/options.ts';
import { loadOptions } from '../bench/load/options.ts';
import { buildProgram, complaintOf } from '../src/cli.ts';
import { environmentName, gatherOptions } from '../src/gather-options.ts';
import { createEchoServer } from '../src/index.ts';
import { computeLimits } from '../src/limits.ts';
import {
  type EffectiveOptions,
  OPTION_SPECS,
  type OptionSpec,
  resolveOptions,
  UsageError,
} from '../src/options.ts';
import { runBin } from './support/child.ts';

const SEED = { seed: Number(process.env.FUZZ_SEED ?? 1) };
const RUNS = Number(process.env.FUZZ_RUNS ?? 1500);
const DESCRIPTORS = 20_000;

type Environment = Record<string, string>;
interface CommandLine {
  args: string[];
  environment: Environment;
}

const HOSTILE = [
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

/** Values at and around the limits of an option, and some that it takes. */
function plausible({ kind }: OptionSpec): string[] {
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
    default:
      return ['127.0.0.1', '::1', 'localhost', 'a b'];
  }
}

const spec = fc.constantFrom(...OPTION_SPECS);
const hostile = fc.oneof(
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
  {
    weight: 1,
    arbitrary: fc.constantFrom(...PLAIN),
  },
);

function written(option: OptionSpec, value: string, how: 'apart' | 'joined' | 'short'): string[] {
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
const commandLine: fc.Arbitrary<CommandLine> = fc.record({
  args: fc.array(argument, { maxLength: 4 }).map((all) => all.flat()),
  environment,
});

/** The flags that the program would serve with; throws what it would complain about. */
function parse(args: readonly string[]): Record<string, unknown> | null {
  const program = buildProgram();
  let flags: Record<string, unknown> | null = null;
  for (const command of [program, ...program.commands.filter((each) => each.name() === 'serve')]) {
    command.configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} });
    command.action((given: Record<string, unknown>, self: typeof program) => {
      flags = { ...self.parent?.opts(), ...given };
    });
  }
  program.parse(['node', 'kecho-pool', ...args]);
  return flags;
}

function gathered(flags: Record<string, unknown>, variables: Environment): EffectiveOptions {
  const { given, nameOf, writtenOf } = gatherOptions(flags, variables);
  return resolveOptions(given, nameOf, writtenOf);
}

/** The options, or the complaint, or null where the program would print something else and end. */
function outcome(run: () => EffectiveOptions | null): EffectiveOptions | string | null {
  try {
    return run();
  } catch (error) {
    if ((error as { exitCode?: number }).exitCode === 0) return null; // help or version
    const complaint = complaintOf(error);
    if (complaint === null) throw error;
    return complaint;
  }
}

function effective({ args, environment: variables }: CommandLine): EffectiveOptions | string | null {
  return outcome(() => {
    const flags = parse(args);
    return flags === null ? null : gathered(flags, variables);
  });
}

function expectInRange(options: EffectiveOptions): void {
  for (const { key, kind, only } of OPTION_SPECS) {
    const value = options[key];
    if (value === undefined) continue; // follows from the descriptor limit
    if (only !== undefined && !only.includes(options.strategy)) continue;
    if (kind.type === 'integer') expectWhole(key, value, kind.min, kind.max);
    else if (kind.type === 'duration') expectWhole(key, value, kind.minMs, kind.maxMs);
    else if (kind.type === 'size') expectWhole(key, value, kind.minBytes, kind.maxBytes);
    else if (kind.type === 'choice') expect(kind.among, key).toContain(value);
    else if (kind.type === 'boolean') expect(value, key).toBeTypeOf('boolean');
    else if (kind.type === 'services') expect(Array.isArray(value) && value.length <= 64, key).toBe(true);
    else expect(value, key).toMatch(/^[^\s\p{Cc}\p{Cf}\p{Cs}]+$/u);
  }
  expect(() => computeLimits(options, DESCRIPTORS)).toSatisfy((limits: () => unknown) =>
    limitsOrUsage(limits),
  );
}

function limitsOrUsage(limits: () => unknown): boolean {
  try {
    return limits() !== null;
  } catch (error) {
    return error instanceof UsageError;
  }
}

function expectWhole(key: string, value: unknown, low: number, high: number): void {
  expect(Number.isInteger(value), `${key}: ${value}`).toBe(true);
  expect(value, key).toBeGreaterThanOrEqual(low);
  expect(value, key).toBeLessThanOrEqual(high);
}

/** What the last of a flag says is what the server uses. Read here independently, for the plainest spelling. */
function expectMeant(options: EffectiveOptions, args: readonly string[]): void {
  for (const { key, flag, kind } of OPTION_SPECS) {
    const at = args.lastIndexOf(`--${flag}`);
    const text = args[at + 1];
    const alone = args.filter((arg) => arg.includes(`--${flag}`)).length === 1 && !args.includes('--');
    if (at < 0 || !alone || text === undefined || args.some((arg) => /^-[a-zA-Z]/.test(arg))) continue;
    if (args[at - 1]?.startsWith('--')) continue; // it may be the value of that one
    if (kind.type === 'integer') expect(options[key]).toBe(Number(text));
    if (kind.type === 'duration' && /^\d+ms$/.test(text))
      expect(options[key]).toBe(Number.parseInt(text, 10));
    if (kind.type === 'size' && /^\d+B$/.test(text)) expect(options[key]).toBe(Number.parseInt(text, 10));
    if (kind.type === 'choice' || kind.type === 'text') expect(options[key]).toBe(text);
  }
}

/** One line that a terminal only shows, of reasonable length. */
function expectOneLine(line: string): void {
  expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(line.length).toBeLessThan(1000);
}

/** The option is called as it was given: as a flag, by its variable, or as the argument that nobody knows. */
function expectNamed(line: string, { args, environment: variables }: CommandLine): void {
  const flags = OPTION_SPECS.filter(({ flag, short }) =>
    args.some((arg) => arg.includes(flag) || (short !== undefined && arg.startsWith(`-${short}`))),
  ).map(({ flag }) => `--${flag}`);
  const shown = args.map((arg) => /^[\x20-\x21\x23-\x5b\x5d-\x7e]*/.exec(arg)?.[0].slice(0, 12) ?? '');
  const names = [...flags, ...Object.keys(variables), ...shown];
  expect(
    names.some((name) => line.includes(name)),
    line,
  ).toBe(true);
}

describe('command line and environment', () => {
  it(`are taken or refused on one line (${RUNS} random ones)`, { timeout: 60_000 }, () => {
    let taken = 0;
    let refused = 0;
    const check = (given: CommandLine) => {
      const result = effective(given);
      if (result === null) return;
      if (typeof result === 'string') {
        refused++;
        expectOneLine(result);
        expectNamed(result, given);
      } else {
        taken++;
        expectInRange(result);
        expectMeant(result, given.args);
      }
    };
    fc.assert(fc.property(commandLine, check), { numRuns: RUNS, ...SEED });
    expect(taken, 'both must occur often').toBeGreaterThan(RUNS / 10);
    expect(refused, 'both must occur often').toBeGreaterThan(RUNS / 10);
  });

  it('every option, with every hostile value, from a flag and from the environment', {
    timeout: 60_000,
  }, () => {
    const check = (name: string, result: EffectiveOptions | string | null) => {
      if (result === null) return;
      if (typeof result !== 'string') return expectInRange(result);
      expectOneLine(result);
      expect(result).toContain(name);
    };
    for (const option of OPTION_SPECS) {
      const variable = environmentName(option);
      for (const value of [...HOSTILE, ...plausible(option)]) {
        check(`--${option.flag}`, effective({ args: written(option, value, 'joined'), environment: {} }));
        check(
          variable,
          outcome(() => gathered({}, { [variable]: value })),
        );
      }
    }
  });
});

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
      expect([...names, 'descriptor limit (ulimit -n)']).toContain(option); // threads may not fit
      expect(allowed).not.toBe('');
      expect(error).toHaveProperty('value');
      expectOneLine(message);
      return false;
    }
  };

  it('takes an object of options or throws UsageError', { timeout: 60_000 }, () => {
    let taken = 0;
    const check = (entries: [OptionSpec, unknown][]) => {
      const given = Object.fromEntries(entries.map(([{ key }, value]) => [key, value]));
      if (create(given, Object.keys(given))) taken++;
    };
    fc.assert(fc.property(apiObject, check), { numRuns: RUNS / 5, ...SEED });
    expect(taken).toBeGreaterThan(0);
  });

  it('throws UsageError for names that are no options', () => {
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

describe('as a process', () => {
  const CHILDREN = Number(process.env.FUZZ_CHILDREN ?? 24);

  it(`${CHILDREN} random command lines: exit 0 with the options, or exit 2 with one line`, {
    timeout: 120_000,
  }, async () => {
    const possible = ({ args, environment: variables }: CommandLine) =>
      [...args, ...Object.values(variables)].every((text) => !text.includes('\0') && text.isWellFormed());
    const given = fc.sample(commandLine.filter(possible), { numRuns: CHILDREN, ...SEED });
    let refused = 0;
    for (let at = 0; at < given.length; at += 4) {
      await Promise.all(
        given.slice(at, at + 4).map(async (line) => {
          if (await runOne(line)) return;
          refused++;
        }),
      );
    }
    expect(refused).toBeGreaterThan(0);
    expect(refused).toBeLessThan(CHILDREN);
  });

  /**
   * Whether the options were taken. Those that should be refused run as a server would; the others print the
   * options instead. (Threads may still be too many for the descriptor limit.)
   */
  async function runOne(given: CommandLine): Promise<boolean> {
    const mustRefuse = typeof effective(given) === 'string';
    const child = runBin(mustRefuse ? given.args : ['--print-config', ...given.args], {
      env: given.environment,
    });
    const { code, signal } = await child.untilEnded(60_000);
    const what = JSON.stringify(given);
    expect(signal, what).toBeNull();
    expect(mustRefuse ? [2] : [0, 2], `${what}: ${child.stderr}`).toContain(code);
    if (code === 0) {
      expect(child.stderr, what).toBe('');
      return true;
    }
    expect(child.stdout, what).toBe('');
    expect(child.stderr, what).toMatch(/^kecho-pool: [^\n]+\n$/);
    expectOneLine(child.stderr.trimEnd());
    expectNamed(child.stderr, given);
    return false;
  }
});

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
