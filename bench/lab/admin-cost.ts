/**
 * `npm run bench:admin-cost`: what monitoring adds to the cost of an echo.
 *
 * Pairs of runs in alternating order: the server with --admin, watched by a browser with the dashboard and by `top`,
 * and the server without. In the second case the same watchers watch another, idle server; they always run at the
 * lowest priority, so that their own use of the machine is not measured. Medians of the ratios of the pairs.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { BLOCK_DEBUG_SIGNAL } from '../../src/sys/signals.ts';
import { ChildProcess, exitOnStopSignal } from '../child-process.ts';
import { environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import type { LoadResult } from '../load/schema.ts';
import { startLoad } from '../load/start.ts';
import { kechoPool, serverEntry } from '../programs.ts';
import { freePort, ServerUnderTest } from '../server-under-test.ts';
import { medianInterval } from '../stats/bootstrap.ts';
import { median } from '../stats/summary.ts';
import { putReport } from './report-file.ts';

const CHROMIUM = '/usr/bin/chromium';
const LIMIT = 1.03;
/** Enough for the page to load and draw. */
const ATTACHED_MS = 3000;

const USAGE = `usage: npm run bench:admin-cost -- [options]

  --pairs N      pairs of runs, watched and unwatched, from 1 to 99 (9)
  --output FILE  also write the report to FILE
  --help         this text

Exit codes: 0 limit kept or within the noise, 1 limit exceeded or an error,
2 wrong usage.
`;

const FLAGS = {
  pairs: { type: 'string', default: '9' },
  output: { type: 'string' },
} as const;

interface Run {
  perSecond: number;
  cpuPerEchoUs: number;
}

interface Pair {
  off: Run;
  on: Run;
}

function serve(adminPort: number | null): Promise<ServerUnderTest> {
  return ServerUnderTest.start('cmwq', kechoPool(adminPort === null ? [] : ['--admin', String(adminPort)]));
}

/** `top` and, where installed, a browser, on the server with this admin port. */
function watchers(adminPort: number, profile: string): ChildProcess[] {
  const nice = (what: string, ...command: string[]) =>
    new ChildProcess(what, 'nice', ['-n', '19', ...command]);
  const top = [serverEntry(), 'top', '--json', `127.0.0.1:${adminPort}`];
  const attached = [nice('top', process.execPath, BLOCK_DEBUG_SIGNAL, ...top)];
  if (!existsSync(CHROMIUM)) return attached;
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--remote-debugging-port=0',
    `--user-data-dir=${profile}`,
  ];
  return [...attached, nice('browser', CHROMIUM, ...flags, `http://127.0.0.1:${adminPort}/`)];
}

async function measure(watched: boolean, profile: string): Promise<Run> {
  const adminPort = await freePort();
  await using measured = await serve(watched ? adminPort : null);
  await using _idle = watched ? null : await serve(adminPort);
  const attached = watchers(adminPort, profile);
  try {
    await pause(ATTACHED_MS);
    const load = startLoad({
      port: measured.port,
      mode: 'closed',
      clients: 100,
      'warmup-ms': 1000,
      'duration-ms': 5000,
      'watch-pid': measured.process.pid,
    });
    const result = await load.result<LoadResult>(30_000);
    if (result.errorTotal > 0) throw new Error(`errors under load: ${result.errorDetails.join('; ')}`);
    return { perSecond: result.perSecond, cpuPerEchoUs: result.serverCpuPerSampleUs ?? Number.NaN };
  } finally {
    for (const child of attached) await child.stop();
  }
}

interface Verdict {
  text: string;
  fails: boolean;
}

/** Decided only when the whole interval lies on one side of the limit. */
function verdict(what: string, ratios: readonly number[]): Verdict {
  const figure = `${what} ${median(ratios).toFixed(3)}`;
  const interval = medianInterval(ratios, 1);
  if (interval === null) {
    return { text: `undecided, too few pairs for an interval: ${figure}, at most ${LIMIT}`, fails: false };
  }
  const { low, high } = interval;
  const word = high <= LIMIT ? 'holds' : low > LIMIT ? 'FAILS' : 'within the noise';
  const range = `95 % interval ${low.toFixed(3)} to ${high.toFixed(3)}`;
  return { text: `${word}: ${figure} (${range}), at most ${LIMIT}`, fails: word === 'FAILS' };
}

await runProgram('bench:admin-cost', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const count = numberFlag('--pairs', flags.pairs, 1, 99);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  exitOnStopSignal();
  const folder = mkdtempSync(join(tmpdir(), 'admin-cost-'));
  const head = environmentLines();
  const pairs: Pair[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const order = i % 2 === 0 ? [true, false] : [false, true];
      const runs = new Map<boolean, Run>();
      for (const watched of order)
        runs.set(watched, await measure(watched, mkdtempSync(join(folder, 'profile-'))));
      const [on, off] = [runs.get(true), runs.get(false)];
      if (on !== undefined && off !== undefined) pairs.push({ on, off });
    }
  } finally {
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
  }
  const cpu = verdict(
    'CPU per echo, watched / unwatched',
    pairs.map(({ on, off }) => on.cpuPerEchoUs / off.cpuPerEchoUs),
  );
  const rate = verdict(
    'time per echo, watched / unwatched',
    pairs.map(({ on, off }) => off.perSecond / on.perSecond),
  );
  putReport(
    [
      ...head,
      `100 connections, 64 bytes, ${count} pairs of 5 s; browser: ${existsSync(CHROMIUM) ? 'yes' : 'none'}, top: yes`,
      `unwatched: ${median(pairs.map(({ off }) => off.perSecond)).toFixed(0)} echoes/s, ` +
        `${median(pairs.map(({ off }) => off.cpuPerEchoUs)).toFixed(2)} us of CPU each`,
      cpu.text,
      rate.text,
    ],
    output,
  );
  return cpu.fails || rate.fails ? 1 : 0;
});
