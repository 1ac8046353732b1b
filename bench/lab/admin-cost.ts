/**
 * `npm run bench:admin-cost`: what monitoring adds to the cost of an echo.
 *
 * Pairs of runs in alternating order: the server with --admin, watched by a browser with the dashboard and by `top`,
 * and the server without. In the second case the same watchers watch another, idle server; they always run at the
 * lowest priority, so that their own use of the machine is not measured. Medians of the ratios of the pairs.
 *
 * Then what clients that ask /metrics in a loop add to a connection (connect, first echo, close), on one server, in pairs
 * too; these have the normal priority, since at the lowest they would hardly ask while others have work.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { exitOnStopSignal } from '../child-process.ts';
import { environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import { freePort } from '../free-port.ts';
import type { LoadResult } from '../load/schema.ts';
import { startLoad } from '../load/start.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { intervalOf, medianEstimate } from '../stats/intervals.ts';
import { median } from '../stats/summary.ts';
import { putReport } from './report-file.ts';
import { HAS_BROWSER, pollers, Watchers } from './watchers.ts';

const LIMIT = 1.03;
const POLLERS = 40;
/** Of the median of a connection. */
const POLLED_LIMIT = 2;
/** Enough for the page to load and draw. */
const ATTACHED_MS = 3000;

const USAGE = `usage: npm run bench:admin-cost -- [options]

  --pairs N      pairs of runs, watched and unwatched, polled and not, from 1 to
                 99 (9)
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

async function measure(watched: boolean): Promise<Run> {
  const adminPort = freePort();
  await using measured = await serve(watched ? adminPort : null);
  await using _idle = watched ? null : await serve(adminPort);
  await using _watchers = new Watchers(adminPort);
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
}

/** One client after another connects, echoes and closes. */
async function connectAndEcho(port: number): Promise<LoadResult> {
  const load = startLoad({ port, mode: 'churn', clients: 1, 'warmup-ms': 500, 'duration-ms': 3000 });
  const result = await load.result<LoadResult>(30_000);
  if (result.errorTotal > 0) throw new Error(`errors under load: ${result.errorDetails.join('; ')}`);
  return result;
}

interface PolledPair {
  quiet: LoadResult['response'];
  polled: LoadResult['response'];
}

async function measurePolled(pairs: number): Promise<PolledPair[]> {
  const adminPort = freePort();
  await using server = await serve(adminPort);
  const measured: PolledPair[] = [];
  await connectAndEcho(server.port); // its code is compiled
  for (let i = 0; i < pairs; i++) {
    const { response: quiet } = await connectAndEcho(server.port);
    const polling = pollers(adminPort, POLLERS);
    try {
      await pause(ATTACHED_MS);
      measured.push({ quiet, polled: (await connectAndEcho(server.port)).response });
    } finally {
      await polling.stop();
    }
  }
  return measured;
}

interface Verdict {
  text: string;
  fails: boolean;
}

/** Decided only when the whole interval lies on one side of the limit. */
function verdict(what: string, ratios: readonly number[], limit = LIMIT): Verdict {
  const figure = `${what} ${median(ratios).toFixed(3)}`;
  const estimate = medianEstimate(ratios);
  const interval = estimate === null ? null : intervalOf(estimate);
  if (interval === null) {
    return { text: `undecided, too few pairs for an interval: ${figure}, at most ${limit}`, fails: false };
  }
  const { low, high } = interval;
  const word = high <= limit ? 'holds' : low > limit ? 'FAILS' : 'within the noise';
  const range = `95 % interval ${low.toFixed(3)} to ${high.toFixed(3)}`;
  return { text: `${word}: ${figure} (${range}), at most ${limit}`, fails: word === 'FAILS' };
}

await runProgram('bench:admin-cost', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const count = numberFlag('--pairs', flags.pairs, 1, 99);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  exitOnStopSignal();
  const head = environmentLines();
  const pairs: Pair[] = [];
  for (let i = 0; i < count; i++) {
    const order = i % 2 === 0 ? [true, false] : [false, true];
    const runs = new Map<boolean, Run>();
    for (const watched of order) runs.set(watched, await measure(watched));
    const [on, off] = [runs.get(true), runs.get(false)];
    if (on !== undefined && off !== undefined) pairs.push({ on, off });
  }
  const cpu = verdict(
    'CPU per echo, watched / unwatched',
    pairs.map(({ on, off }) => on.cpuPerEchoUs / off.cpuPerEchoUs),
  );
  const rate = verdict(
    'time per echo, watched / unwatched',
    pairs.map(({ on, off }) => off.perSecond / on.perSecond),
  );
  const polled = await measurePolled(count);
  const connection = verdict(
    'median of a connection, polled / quiet',
    polled.map((pair) => pair.polled.p50Ms / pair.quiet.p50Ms),
    POLLED_LIMIT,
  );
  const medians = (figures: (pair: PolledPair) => number) => median(polled.map(figures)).toFixed(2);
  putReport(
    [
      ...head,
      `100 connections, 64 bytes, ${count} pairs of 5 s; browser: ${HAS_BROWSER ? 'yes' : 'none'}, top: yes`,
      `unwatched: ${median(pairs.map(({ off }) => off.perSecond)).toFixed(0)} echoes/s, ` +
        `${median(pairs.map(({ off }) => off.cpuPerEchoUs)).toFixed(2)} us of CPU each`,
      cpu.text,
      rate.text,
      `connect, first echo, close; ${POLLERS} clients that ask /metrics in a loop, ${count} pairs of 3 s on one server`,
      `quiet: p50 ${medians(({ quiet }) => quiet.p50Ms)} ms, p99 ${medians(({ quiet }) => quiet.p99Ms)} ms; ` +
        `polled: p50 ${medians((pair) => pair.polled.p50Ms)} ms, p99 ${medians((pair) => pair.polled.p99Ms)} ms`,
      connection.text,
    ],
    output,
  );
  return cpu.fails || rate.fails || connection.fails ? 1 : 0;
});
