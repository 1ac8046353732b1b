/**
 * Goal: every program that npm runs for measuring and the like says what flags it takes, and refuses others.
 * Method: each as a child process, found in the scripts of package.json; output and exit code.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, vi } from 'vitest';
import { runCommand, UsageError } from '../bench/flags.ts';
import packageJson from '../package.json' with { type: 'json' };
import { Child } from './support/child.ts';
import { temporaryFolder } from './support/folder.ts';

const USAGE = 2;
const COLUMNS = 80;
const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Those that take flags: test/coverage/main.ts takes names of test files. */
const PROGRAMS = Object.entries(packageJson.scripts)
  .map(([name, script]) => ({ name, file: /^node ((?:bench|test)\/\S+\.ts)$/.exec(script)?.[1] ?? '' }))
  .filter(({ file }) => file !== '' && !file.startsWith('test/coverage/'));

/** Those that are commands of kecho-pool as well, from source. */
const COMMANDS = ['bench', 'compare'].map((name) => ({ name, file: `bench/${name}-command.ts` }));

describe.each(PROGRAMS)('npm run $name', ({ name, file }) => {
  it('--help: what it takes, in 80 columns', async () => {
    const child = new Child(process.execPath, [file, '--help'], { cwd: ROOT });
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe('');
    expect(child.stdout).toMatch(new RegExp(`^usage: npm run ${name} `));
    expect(child.stdout.split('\n').filter((line) => line.length > COLUMNS)).toEqual([]);
  });

  it('another flag: one line, exit 2', async () => {
    const child = new Child(process.execPath, [file, '--bogus'], { cwd: ROOT });
    expect(await child.untilEnded()).toEqual({ code: USAGE, signal: null });
    expect(child.stdout).toBe('');
    expect(child.stderr).toMatch(/^[^\n]*--bogus[^\n]*\n$/);
  });
});

/** Flags that take a path, and never standard output. */
const PATHS = [
  ['soak', 'bench/lab/soak.ts', '--minutes 1 --output'],
  ['soak', 'bench/lab/soak.ts', '--minutes 1 --json'],
  ['bench:parity', 'bench/lab/parity.ts', '--json'],
  ['bench:overload', 'bench/lab/overload.ts', '--output'],
  ['bench:memory', 'bench/lab/memory.ts', '--output'],
  ['bench:admin-cost', 'bench/lab/admin-cost.ts', '--output'],
  ['timeline', 'bench/timeline.ts', '--svg'],
  ['kecho-pool compare', 'bench/compare-command.ts', '--out'],
] as const;

it.each(PATHS)('%s: %s %s -: one line, exit 2, and no file of that name', async (_name, file, flags) => {
  const cwd = temporaryFolder();
  const child = new Child(process.execPath, [join(ROOT, file), ...flags.split(' '), '-'], { cwd });
  expect(await child.untilEnded()).toEqual({ code: USAGE, signal: null });
  const flag = flags.split(' ').at(-1);
  expect(child.stdout).toBe('');
  expect(child.stderr).toMatch(new RegExp(`^[^\n]*: ${flag} takes a path, not "-"\n$`));
  expect(readdirSync(cwd)).toEqual([]);
});

describe.each(COMMANDS)('node $file', ({ name, file }) => {
  it.each(['--help', '-h'])('%s: what it takes', async (flag) => {
    const child = new Child(process.execPath, [file, flag], { cwd: ROOT });
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe('');
    expect(child.stdout).toMatch(new RegExp(`^usage: kecho-pool ${name} `, 'i'));
  });

  it('another flag: one line that names the command, exit 2', async () => {
    const child = new Child(process.execPath, [file, '--bogus'], { cwd: ROOT });
    expect(await child.untilEnded()).toEqual({ code: USAGE, signal: null });
    expect(child.stdout).toBe('');
    expect(child.stderr).toMatch(new RegExp(`^kecho-pool ${name}: [^\n]*--bogus[^\n]*\n$`));
  });
});

describe('runCommand', () => {
  /** The exit code, and what is written meanwhile. */
  async function run(argv: string[], usage: string | null, main: () => number) {
    const spies = [process.stdout, process.stderr].map((stream) =>
      vi.spyOn(stream, 'write').mockImplementation(() => true),
    );
    try {
      const code = await runCommand('name', usage, argv, main);
      const [out, err] = spies.map(({ mock }) => mock.calls.map(([text]) => text).join(''));
      return { code, out, err };
    } finally {
      for (const spy of spies) spy.mockRestore();
    }
  }

  it('prints the usage and does nothing else, wherever --help stands', async () => {
    const main = vi.fn(() => 5);
    expect(await run(['--bogus', '--help'], 'usage\n', main)).toEqual({ code: 0, out: 'usage\n', err: '' });
    expect(main).not.toHaveBeenCalled();
    expect(await run(['--help'], null, main)).toEqual({ code: 5, out: '', err: '' });
    expect(await run(['x'], 'usage\n', main)).toEqual({ code: 5, out: '', err: '' });
  });

  it.each([
    [new UsageError('--x: no'), USAGE, 'name: --x: no\n'],
    [new Error('two\n  lines'), 1, 'name: two lines\n'],
    ['no error', 1, 'name: no error\n'],
  ])('%j: one line and an exit code', async (thrown, code, err) => {
    const main = () => {
      throw thrown;
    };
    expect(await run([], 'usage\n', main)).toEqual({ code, out: '', err });
  });
});
