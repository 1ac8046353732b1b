/**
 * Goal: every program of this repository documents its flags and refuses others.
 * Method: each script of package.json that takes flags as a child process; output and exit code.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { Child } from './support/child.ts';
import { temporaryFolder } from './support/folder.ts';

const EXIT_USAGE = 2;
const COLUMNS = 80;
const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Scripts that take flags; test/coverage/main.ts takes names of test files instead. */
const PROGRAMS = Object.entries(packageJson.scripts)
  .map(([name, script]) => ({ name, file: /^node ((?:bench|test)\/\S+\.ts)$/.exec(script)?.[1] ?? '' }))
  .filter(({ file }) => file !== '' && !file.startsWith('test/coverage/'));

describe.each(PROGRAMS)('npm run $name', ({ name, file }) => {
  it('prints its usage in 80 columns for --help', async () => {
    const child = new Child(process.execPath, [file, '--help'], { cwd: ROOT });
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe('');
    expect(child.stdout).toMatch(new RegExp(`^usage: npm run ${name} `));
    expect(child.stdout.split('\n').filter((line) => line.length > COLUMNS)).toEqual([]);
  });

  it('refuses an unknown flag: one line, exit 2', async () => {
    const child = new Child(process.execPath, [file, '--bogus'], { cwd: ROOT });
    expect(await child.untilEnded()).toEqual({ code: EXIT_USAGE, signal: null });
    expect(child.stdout).toBe('');
    expect(child.stderr).toMatch(/^[^\n]*--bogus[^\n]*\n$/);
  });
});

/** Flags that take a path, but not `-`. */
const PATHS = [
  ['soak', 'bench/lab/soak.ts', '--minutes 1 --output'],
  ['bench:overload', 'bench/lab/overload.ts', '--output'],
  ['bench:memory', 'bench/lab/memory.ts', '--output'],
  ['bench:admin-cost', 'bench/lab/admin-cost.ts', '--output'],
  ['bench:thread-start', 'bench/lab/thread-start.ts', '--output'],
  ['kecho-pool compare', 'src/bin.ts', 'compare --out'],
] as const;

it.each(PATHS)('refuses %s: %s %s -: one line, exit 2, and no file "-"', async (_name, file, flags) => {
  const cwd = temporaryFolder();
  const child = new Child(process.execPath, [join(ROOT, file), ...flags.split(' '), '-'], { cwd });
  expect(await child.untilEnded()).toEqual({ code: EXIT_USAGE, signal: null });
  const flag = flags.split(' ').at(-1);
  expect(child.stdout).toBe('');
  expect(child.stderr).toMatch(new RegExp(`^[^\n]*: ${flag}: "-" is not allowed: a path\n$`));
  expect(readdirSync(cwd)).toEqual([]);
});

it('reports the failure of a program: one line, exit 1', async () => {
  const script = `
    import { runProgram } from ${JSON.stringify(join(ROOT, 'bench/flags.ts'))};
    await runProgram('name', null, () => { throw new Error('two\\n  lines'); });`;
  const child = new Child(process.execPath, ['--input-type=module', '-e', script]);
  expect(await child.untilEnded()).toEqual({ code: 1, signal: null });
  expect(child.stderr).toBe('name: two lines\n');
});
