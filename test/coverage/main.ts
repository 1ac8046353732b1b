/**
 * `npm run coverage [-- test files]`: runs the tests and says which lines, branches and functions of src/ and
 * workers/ they reach, in this process's children, grandchildren and all their threads.
 *
 * V8 counts in each thread and writes the counts when the thread or process ends; NODE_V8_COVERAGE goes down
 * from parent to child. A child that is killed writes nothing. With all tests, bench/results/coverage.txt is
 * written anew. Exit code 1 when a test failed or a piece that never ran has no reason in reasons.json.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { environmentLines } from '../../bench/environment.ts';
import { analyse } from './analyse.ts';
import { RawCoverage, sourcePaths } from './raw.ts';
import { type Reason, report } from './report.ts';

const ROOT = new URL('../../', import.meta.url);
const RESULT = new URL('bench/results/coverage.txt', ROOT);
const TAKE_UP_MS = 2000;

async function runTests(raw: RawCoverage, folder: string, files: readonly string[]): Promise<number | null> {
  const written = join(folder, 'v8');
  mkdirSync(written);
  const args = ['run', '--config', 'test/coverage/vitest.config.ts', ...files];
  const vitest = spawn('node_modules/.bin/vitest', args, {
    cwd: fileURLToPath(ROOT),
    env: { ...process.env, NODE_V8_COVERAGE: written },
    stdio: 'inherit',
  });
  const takeUp = () => raw.takeUp(pathToFileURL(`${written}/`));
  const timer = setInterval(takeUp, TAKE_UP_MS);
  try {
    const [code] = (await once(vitest, 'close')) as [number | null];
    return code;
  } finally {
    clearInterval(timer);
    takeUp();
  }
}

const files = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'kecho-coverage-'));
try {
  const raw = new RawCoverage(ROOT, sourcePaths(ROOT, ['src', 'workers']));
  const code = await runTests(raw, folder, files);
  const head = [
    'Coverage of src/ and workers/: npm run coverage',
    '',
    ...environmentLines(['vitest', 'monocart-coverage-reports']),
    `tests     ${files.length === 0 ? 'all' : files.join(' ')}${code === 0 ? '' : `, with failures (exit code ${code})`}`,
    `threads   ${raw.files} processes and threads wrote their counts`,
    '',
    'In the process of each test file, in the worker threads and in the child processes; code that runs',
    'through FFI is that of libc. A child that is killed writes nothing.',
  ];
  const reasons = JSON.parse(readFileSync(new URL('reasons.json', import.meta.url), 'utf8')) as Reason[];
  const { text, unexplained, stale } = report(head, await analyse(raw, join(folder, 'cache')), reasons);
  process.stdout.write(`\n${text}`);
  if (files.length === 0) writeFileSync(RESULT, text);
  for (const { file, code } of files.length === 0 ? stale : []) {
    process.stdout.write(`reasons.json: this runs, or is gone: ${file}: ${code}\n`);
  }
  if (unexplained > 0)
    process.stdout.write(`${unexplained} pieces without a reason in test/coverage/reasons.json\n`);
  if (raw.changed > 0)
    process.stdout.write(`${raw.changed} counts left out: their sources changed during the run\n`);
  process.exitCode = code === 0 && (files.length > 0 || unexplained === 0) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
