/**
 * Goal: every program that npm runs for measuring and the like says what flags it takes, and refuses others.
 * Method: each as a child process, found in the scripts of package.json; output and exit code.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import packageJson from '../package.json' with { type: 'json' };
import { Child } from './support/child.ts';

const USAGE = 2;
const COLUMNS = 80;
const ROOT = fileURLToPath(new URL('..', import.meta.url));
/** Those that take flags: test/coverage/main.ts takes names of test files. */
const PROGRAMS = Object.entries(packageJson.scripts)
  .map(([name, script]) => ({ name, file: /^node ((?:bench|test)\/\S+\.ts)$/.exec(script)?.[1] ?? '' }))
  .filter(({ file }) => file !== '' && !file.startsWith('test/coverage/'));

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
