/**
 * `npm run bench:admin-cost`: what it costs an echo that somebody watches.
 *
 * Pairs of runs, in changing order: the server with --admin, a browser with the dashboard and `top` attached, and the
 * server without. In the second case the same browser and the same `top` watch another, idle server, and they always
 * run at the lowest priority: what the watchers need of the machine for themselves is not what is to be measured.
 * Medians of the ratios of the pairs.
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
/** The page is loaded and draws by then. */
const ATTACHED_MS = 3000;

const USAGE = `usage: npm run bench:admin-cost -- [options]

  --pairs N      pairs of runs, watched and not, from 1 to 99 (9)
  --output FILE  write the report to FILE as well
  --help         this text

Exit codes: 0 it holds or is within the noise, 1 it fails or an error occurred,
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

/** Whoever looks at the server with this admin port. */
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

/** Holds, or fails, only where the whole interval says so. */
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
    'CPU per echo, watched / not',
    pairs.map(({ on, off }) => on.cpuPerEchoUs / off.cpuPerEchoUs),
  );
  const rate = verdict(
    'time per echo, watched / not',
    pairs.map(({ on, off }) => off.perSecond / on.perSecond),
  );
  putReport(
    [
      ...head,
      `100 connections, 64 bytes, ${count} pairs of 5 s; browser: ${existsSync(CHROMIUM) ? 'yes' : 'none'}, top: yes`,
      `not watched: ${median(pairs.map(({ off }) => off.perSecond)).toFixed(0)} echoes/s, ` +
        `${median(pairs.map(({ off }) => off.cpuPerEchoUs)).toFixed(2)} us of CPU each`,
      cpu.text,
      rate.text,
    ],
    output,
  );
  return cpu.fails || rate.fails ? 1 : 0;
});
