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
import { freePort } from '../compare/server.ts';
import { environment } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import type { LoadResult } from '../load/schema.ts';
import { medianInterval } from '../stats/bootstrap.ts';
import { median } from '../stats/summary.ts';
import { Child, guardChildren } from './children.ts';
import { serverEntry, startServer } from './parity/servers.ts';
import { putReport } from './report-file.ts';

const LOAD = join(import.meta.dirname, '../load/main.ts');
const CHROMIUM = '/usr/bin/chromium';
const LIMIT = 1.03;
/** The page is loaded and draws by then. */
const ATTACHED_MS = 3000;
const node = process.execPath;

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

/** A server; with `watched` it has an admin port. */
async function serve(entry: string, watched: boolean): Promise<{ server: Child; port: number; url: string }> {
  const adminPort = watched ? await freePort() : 0;
  const args = [entry, '--port', '0', '--no-pretty', ...(watched ? ['--admin', String(adminPort)] : [])];
  const [server, port] = await startServer('cmwq', { command: node, args });
  return { server, port, url: `http://127.0.0.1:${adminPort}/` };
}

function watchers(entry: string, url: string, profile: string): Child[] {
  const top = new Child('top', 'nice', ['-n', '19', node, entry, 'top', '--json', new URL(url).host]);
  if (!existsSync(CHROMIUM)) return [top];
  const flags = [
    '--headless=new',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-dev-shm-usage',
    '--remote-debugging-port=0',
  ];
  return [
    top,
    new Child('browser', 'nice', ['-n', '19', CHROMIUM, ...flags, `--user-data-dir=${profile}`, url]),
  ];
}

async function measure(entry: string, watched: boolean, profile: string): Promise<Run> {
  const measured = await serve(entry, watched);
  const idle = watched ? null : await serve(entry, true);
  const attached = watchers(entry, (idle ?? measured).url, profile);
  try {
    await pause(ATTACHED_MS);
    const load = new Child('load', node, [
      ...[LOAD, '--port', String(measured.port), '--mode', 'closed', '--clients', '100'],
      ...['--warmup-ms', '1000', '--duration-ms', '5000', '--watch-pid', String(measured.server.pid)],
    ]);
    const result = JSON.parse(await load.finished(30_000)) as LoadResult;
    if (result.errorTotal > 0) throw new Error(`errors under load: ${result.errorDetails.join('; ')}`);
    return { perSecond: result.perSecond, cpuPerEchoUs: result.serverCpuPerSampleUs ?? Number.NaN };
  } finally {
    for (const child of attached) await child.stop();
    await measured.server.stop();
    await idle?.server.stop();
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
  guardChildren();
  const entry = serverEntry([]);
  const folder = mkdtempSync(join(tmpdir(), 'admin-cost-'));
  const env = environment(null);
  const pairs: Pair[] = [];
  try {
    for (let i = 0; i < count; i++) {
      const order = i % 2 === 0 ? [true, false] : [false, true];
      const runs = new Map<boolean, Run>();
      for (const watched of order)
        runs.set(watched, await measure(entry, watched, mkdtempSync(join(folder, 'profile-'))));
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
  const text =
    `environment: ${JSON.stringify(env)}\n` +
    `100 connections, 64 bytes, ${count} pairs of 5 s; browser: ${existsSync(CHROMIUM) ? 'yes' : 'none'}, top: yes\n` +
    `not watched: ${median(pairs.map(({ off }) => off.perSecond)).toFixed(0)} echoes/s, ` +
    `${median(pairs.map(({ off }) => off.cpuPerEchoUs)).toFixed(2)} us of CPU each\n` +
    `${cpu.text}\n${rate.text}\n`;
  putReport(text, output);
  return cpu.fails || rate.fails ? 1 : 0;
});
