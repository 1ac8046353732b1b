/**
 * `npm run bench:busy-host`: what clients feel of a host program that keeps main busy for 20 ms at a time.
 *
 * The host (busy-host/host.ts) has the server in it. While its main is busy, connections that are established must get
 * their echoes as otherwise, run slots must be handed on, and undeclared sleeps be noticed: response times in closed loop,
 * once all threads are there. The hosts take turns, in changing order: idle; with another thread that is busy instead of
 * main, which takes as much from the processors; with main busy. Ratios are of the same turn.
 */
import { join } from 'node:path';
import { exitOnStopSignal } from '../child-process.ts';
import { environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import type { LoadResult } from '../load/schema.ts';
import { startLoad } from '../load/start.ts';
import { apiEntry } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { median } from '../stats/summary.ts';
import { putReport } from './report-file.ts';

const USAGE = `usage: npm run bench:busy-host -- [options]

  --turns N      measurements of each case and host, from 1 to 99 (5)
  --warmup S     seconds of load before each, from 1 to 300 (10): threads are
                 created meanwhile
  --seconds S    length of a measurement, from 1 to 60 (4)
  --output FILE  also write the report to FILE
  --help         this text

Exit codes: 0 measured, 1 an error or a wrong byte, 2 wrong usage.
`;

const FLAGS = {
  turns: { type: 'string', default: '5' },
  warmup: { type: 'string', default: '10' },
  seconds: { type: 'string', default: '4' },
  output: { type: 'string' },
} as const;

const HOSTS = ['idle', 'thread', 'main'] as const;
type Busy = (typeof HOSTS)[number];
const HANDLERS = join(import.meta.dirname, 'noticing/handlers.ts');
const ANSWER_TIMEOUT_MS = 30_000;

interface Case {
  /** Of the API. */
  options: object;
  clients: number;
}

const CASES: Record<string, Case> = {
  'echoes on established connections': { options: {}, clients: 10 },
  'hand-offs: handlers declare a sleep of 10 ms': {
    options: { cpus: 1, service: ['sleep:10ms'] },
    clients: 20,
  },
  'noticed sleeps: handlers sleep 100 ms undeclared': {
    options: { cpus: 1, handler: `${HANDLERS}#undeclared` },
    clients: 20,
  },
};

const FIGURES = ['p50Ms', 'p90Ms', 'p99Ms', 'worstMs'] as const;
type Response = LoadResult['response'];
type Turn = Record<Busy, Response>;

async function measure(busy: Busy, { options, clients }: Case, times: Times): Promise<Response> {
  const file = join(import.meta.dirname, 'busy-host/host.ts');
  const given = JSON.stringify({ logLevel: 'silent', ...options });
  await using host = await ServerUnderTest.start('host', {
    command: process.execPath,
    args: [file, apiEntry(), busy, given],
  });
  await using load = startLoad({
    mode: 'closed',
    port: host.port,
    clients,
    'warmup-ms': times.warmupMs,
    'duration-ms': times.durationMs,
    'timeout-ms': ANSWER_TIMEOUT_MS,
  });
  const timeoutMs = times.warmupMs + times.durationMs + 2 * ANSWER_TIMEOUT_MS;
  const { response, errorTotal, errorDetails } = await load.result<LoadResult>(timeoutMs);
  if (errorTotal > 0) throw new Error(`errors under load: ${errorDetails.join('; ')}`);
  return response;
}

interface Times {
  warmupMs: number;
  durationMs: number;
}

async function takeTurns(turns: number, each: Case, times: Times): Promise<Turn[]> {
  const measured: Turn[] = [];
  for (let n = 0; n < turns; n++) {
    const turn: Partial<Turn> = {};
    for (const busy of n % 2 === 0 ? HOSTS : HOSTS.toReversed())
      turn[busy] = await measure(busy, each, times);
    measured.push(turn as Turn); // has all of HOSTS
  }
  return measured;
}

function rows(turns: readonly Turn[]): string[] {
  return FIGURES.map((figure) => {
    const ofHost = HOSTS.map((busy) => median(turns.map((turn) => turn[busy][figure])).toPrecision(3));
    const ratio = (other: Busy) =>
      median(turns.map(({ main, [other]: { [figure]: ms } }) => main[figure] / ms));
    const ratios = [ratio('idle'), ratio('thread')].map((value) => value.toFixed(2));
    return [
      figure.replace('Ms', ' ms').padEnd(10),
      ...[...ofHost, ...ratios].map((text) => text.padStart(10)),
    ].join('');
  });
}

await runProgram('bench:busy-host', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const turns = numberFlag('--turns', flags.turns, 1, 99);
  const times = {
    warmupMs: 1000 * numberFlag('--warmup', flags.warmup, 1, 300),
    durationMs: 1000 * numberFlag('--seconds', flags.seconds, 1, 60),
  };
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  exitOnStopSignal();
  const lines = environmentLines();
  lines.push(
    '',
    `response times, medians of ${turns} turns, by which thread is busy 20 ms of 40; then main's as a ratio`,
  );
  for (const [name, each] of Object.entries(CASES)) {
    const titles = ['idle', 'thread', 'main', '/ idle', '/ thread'].map((title) => title.padStart(10));
    lines.push('', `${name}, ${each.clients} clients`, ''.padEnd(10) + titles.join(''));
    lines.push(...rows(await takeTurns(turns, each, times)));
  }
  putReport(lines, output);
  return 0;
});
