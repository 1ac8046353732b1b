/**
 * Goal: `--help` and `help` print the help of the program and of each command; it names every option and fits a
 * terminal of 80 columns.
 * Method: the program as a child process; assertions on standard output, standard error and the exit code.
 */
import { describe, expect, it } from 'vitest';
import { OPTION_SPECS } from '../src/options/index.ts';
import { runBin } from './support/child.ts';
import { FULL } from './support/size.ts';

const COMMANDS = ['serve', 'bench', 'merge', 'compare', 'timeline', 'sim', 'top', 'demo'] as const;

function tooWide(text: string): string[] {
  return text.split('\n').filter((line) => line.length > 80);
}

async function output(args: readonly string[]): Promise<string> {
  const child = runBin(args);
  expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  expect(child.stderr).toBe('');
  return child.stdout;
}

const helps = new Map<string, string>();

/** The help of a command, printed once for all tests. */
async function helpOf(command: string): Promise<string> {
  const help = helps.get(command) ?? (await output([command, '--help']));
  helps.set(command, help);
  return help;
}

describe('--help', () => {
  it('lists every option, examples and exit codes', async () => {
    const help = await output(['--help']);
    for (const { flag, short } of OPTION_SPECS) {
      expect(help).toContain(short === undefined ? `--${flag}` : `-${short}, --${flag}`);
    }
    for (const text of [
      '--print-config',
      '--version',
      '  $ npx kecho-pool',
      'Exit codes:',
      'KECHO_POOL_PORT=0',
    ]) {
      expect(help).toContain(text);
    }
    expect(tooWide(help)).toEqual([]);
  });

  it.each(COMMANDS)('fits into 80 columns: %s', async (command) => {
    const help = await helpOf(command);
    expect(help).toMatch(new RegExp(`^Usage: kecho-pool ${command} \\[options\\]`));
    expect(tooWide(help)).toEqual([]);
  });

  it.each(COMMANDS)('has the same parts in the same order: %s', async (command) => {
    const help = await helpOf(command);
    expect(help).toMatch(/^Usage: .*\n\n[A-Z][a-z]+s /); // a verb: "Runs", "Measures"
    const heads = [...help.matchAll(/^([A-Z][a-z ]+):$/gm)].map(([, head]) => head);
    expect(heads.filter((head) => head !== 'Arguments')[0]).toBe('Options');
    expect(heads.slice(-2)).toEqual(['Examples', 'Exit codes']);
    expect(help).toMatch(/^ {2}-h, --help {2,}print this help$/m);
    expect(help).toMatch(/^Examples:\n {2}\$ npx kecho-pool/m);
    expect(help).toMatch(/^Exit codes:\n {2}0 +\w(?:.*\n)* {2}2 +wrong usage$/m);
  });
});

describe('help', () => {
  it('prints the same as --help', async () => {
    const help = await output(['help']);
    expect(help).toBe(await output(['--help']));
    expect(help).toMatch(/^ {2}help {2,}print this help, or that of a command/m);
  });

  it.each(FULL ? COMMANDS : COMMANDS.slice(0, 2))('prints the same as %s --help', async (command) => {
    expect(await output(['help', command])).toBe(await helpOf(command));
  });

  it.each([
    {
      args: ['help', 'load'],
      parts: ['help', '"load"', 'one of serve, bench, merge, compare, timeline, sim, top, demo'],
    },
    { args: ['help', 'two\nlines'], parts: ['help', '"two\\nlines"'] },
    { args: ['help', 'top', 'extra'], parts: ['extra'] },
    { args: ['help', '--bogus'], parts: ['--bogus'] },
  ])('$args: fails with one line and exit code 2', async ({ args, parts }) => {
    const child = runBin(args);
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
    expect(child.stdout).toBe('');
    expect(child.stderr).toMatch(/^kecho-pool: [^\n]+\n$/);
    for (const part of parts) expect(child.stderr).toContain(part);
  });
});
