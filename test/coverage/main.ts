/**
 * `npm run coverage [-- test files]`: runs the tests and reports which lines, branches and functions of src/ and
 * workers/ they reach, in all descendant processes and their threads.
 *
 * V8 counts in each thread and writes the counts when the thread or process ends; children inherit NODE_V8_COVERAGE.
 * A killed child writes nothing. A run of all tests rewrites bench/results/coverage.txt. Exit code 1 when a test failed
 * or, with all tests, a piece that never ran has no reason in reasons.json.
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
const COLLECT_MS = 2000;

async function runTests(raw: RawCoverage, folder: string, files: readonly string[]): Promise<number | null> {
  const written = join(folder, 'v8');
  mkdirSync(written);
  const args = ['run', '--config', 'test/coverage/vitest.config.ts', ...files];
  const vitest = spawn('node_modules/.bin/vitest', args, {
    cwd: fileURLToPath(ROOT),
    env: { ...process.env, NODE_V8_COVERAGE: written },
    stdio: 'inherit',
  });
  const collect = () => raw.collect(pathToFileURL(`${written}/`));
  const timer = setInterval(collect, COLLECT_MS);
  try {
    const [code] = (await once(vitest, 'close')) as [number | null];
    return code;
  } finally {
    clearInterval(timer);
    collect();
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
    'Counted in the process of each test file, in worker threads and in child processes. Not counted:',
    'libc behind the FFI, and killed children.',
  ];
  const reasons = JSON.parse(readFileSync(new URL('reasons.json', import.meta.url), 'utf8')) as Reason[];
  const { text, unexplained, stale } = report(head, await analyse(raw, join(folder, 'cache')), reasons);
  process.stdout.write(`\n${text}`);
  if (files.length === 0) writeFileSync(RESULT, text);
  for (const { file, code } of files.length === 0 ? stale : []) {
    process.stdout.write(`reasons.json: covered or gone: ${file}: ${code}\n`);
  }
  if (unexplained > 0)
    process.stdout.write(`${unexplained} pieces without a reason in test/coverage/reasons.json\n`);
  if (raw.changed > 0)
    process.stdout.write(`${raw.changed} counts ignored: their sources changed during the run\n`);
  process.exitCode = code === 0 && (files.length > 0 || unexplained === 0) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
