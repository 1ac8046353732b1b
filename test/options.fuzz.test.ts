/**
 * Goal: whatever the command line or the environment contains is either accepted with its plain meaning and within the
 * documented range, or refused with one line that names the option: no stack trace, no socket, no other exit code.
 * Method: random command lines and environments (test/support/random-options.ts tells how to repeat or vary a run):
 * thousands in this process, short of creating the server; some as a child process.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { environmentName } from '../src/cli/environment.ts';
import { type EffectiveOptions, OPTION_SPECS } from '../src/options/index.ts';
import { runBin } from './support/child.ts';
import { effective, gathered, outcome } from './support/command-line.ts';
import { expectInRange, expectOneLine } from './support/option-checks.ts';
import {
  type CommandLine,
  commandLine,
  HOSTILE,
  plausible,
  RUNS,
  SEED,
  written,
} from './support/random-options.ts';
import { FULL } from './support/size.ts';

/** The last value of a flag counts. Parsed here independently, for the plainest spelling only. */
function expectMeant(options: EffectiveOptions, args: readonly string[]): void {
  for (const { key, flag, kind } of OPTION_SPECS) {
    const at = args.lastIndexOf(`--${flag}`);
    const text = args[at + 1];
    const alone = args.filter((arg) => arg.includes(`--${flag}`)).length === 1 && !args.includes('--');
    if (at < 0 || !alone || text === undefined || args.some((arg) => /^-[a-zA-Z]/.test(arg))) continue;
    if (args[at - 1]?.startsWith('--')) continue; // it may be that flag's value
    if (kind.type === 'integer') expect(options[key]).toBe(Number(text));
    if (kind.type === 'duration' && /^\d+ms$/.test(text))
      expect(options[key]).toBe(Number.parseInt(text, 10));
    if (kind.type === 'size' && /^\d+B$/.test(text)) expect(options[key]).toBe(Number.parseInt(text, 10));
    if (kind.type === 'choice' || kind.type === 'text') expect(options[key]).toBe(text);
  }
}

/** The complaint names the option as given: the flag, the variable, or the unknown argument. */
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
  it(`are accepted, or refused on one line (${RUNS} random ones)`, { timeout: 300_000 }, () => {
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

  it('accept or refuse every hostile value, for every option or a fifth of them', {
    timeout: 300_000,
  }, () => {
    const check = (name: string, result: EffectiveOptions | string | null) => {
      if (result === null) return;
      if (typeof result !== 'string') return expectInRange(result);
      expectOneLine(result);
      expect(result).toContain(name);
    };
    for (const [i, option] of OPTION_SPECS.entries()) {
      if (!FULL && i % 5 !== 0) continue;
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

describe('as a process', () => {
  const CHILDREN = Number(process.env.FUZZ_CHILDREN ?? 24);

  it(`exits 0 with the options, or 2 with one line (${CHILDREN} random command lines)`, {
    timeout: 300_000,
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
   * Whether the options were accepted. Those to be refused run as a server would; the others only print the options,
   * and may still be refused when the threads exceed the descriptor limit.
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
