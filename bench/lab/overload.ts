/**
 * `npm run bench:overload`: twice the connections that a server may hold, arriving at ten times its accept rate.
 *
 * The server holds at most --hold connections. Its handlers burn 2 ms, which keeps its accept rate (connections
 * accepted, served and closed per second) so low that the same machine can make ten times as many. Standing clients
 * hold half of the places and send at a steady, modest rate: their response times before, during and after the waves
 * are compared. The refused connections must get a reset, and soon.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ChildProcess, exitOnStopSignal } from '../child-process.ts';
import { environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import type { LoadResult } from '../load/schema.ts';
import { startLoad } from '../load/start.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import type { WaveResult } from './overload/wave.ts';
import { putReport } from './report-file.ts';

const WAVE = join(import.meta.dirname, 'overload/wave.ts');
/** Requests per second of the standing clients, each 2 ms of work. */
const STANDING_RATE = 100;
/** Length of the measurements before and after the waves. */
const QUIET_MS = 8000;
/** Longer than all waves. */
const STANDING_MAX_MS = 600_000;
const TIMES_ACCEPT_RATE = 10;
const P99_LIMIT = 3;

const USAGE = `usage: npm run bench:overload -- [options]

  --hold N       connections that the server may hold, from 20 to 8000 (2000);
                 an odd number counts as the next even one
  --waves N      waves of twice as many arrivals, from 1 to 50 (20)
  --output FILE  also write the report to FILE
  --help         this text

Exit codes: 0 all limits kept, 1 a limit exceeded or an error, 2 wrong usage.
`;

const FLAGS = {
  hold: { type: 'string', default: '2000' },
  waves: { type: 'string', default: '20' },
  output: { type: 'string' },
} as const;

interface Settings {
  hold: number;
  waves: number;
}

/** Accepted, served and closed connections per second. */
async function acceptRate(port: number): Promise<number> {
  const churn = startLoad({ port, mode: 'churn', clients: 20, 'duration-ms': 3000 });
  return (await churn.result<LoadResult>(30_000)).perSecond;
}

/** Runs the standing clients until `meanwhile` resolves. */
async function standing(
  port: number,
  { hold }: Settings,
  meanwhile: () => Promise<unknown>,
): Promise<LoadResult> {
  const clients = startLoad({
    port,
    mode: 'open',
    clients: hold / 2,
    rate: STANDING_RATE,
    'warmup-ms': 1500,
    'duration-ms': STANDING_MAX_MS,
    'timeout-ms': 20_000,
    'stdin-stops': true,
  });
  await pause(2000); // connected and warm
  await meanwhile();
  clients.endInput();
  return clients.result(60_000);
}

interface Figures {
  acceptRate: number;
  before: LoadResult;
  during: LoadResult;
  /** While the admitted connections of a last wave echo; these times are not judged. */
  echoing: LoadResult;
  after: LoadResult;
  waves: WaveResult[];
}

async function measure(port: number, settings: Settings): Promise<Figures> {
  const quiet = () => pause(QUIET_MS);
  const rate = await acceptRate(port);
  const before = await standing(port, settings, quiet);
  const wave = (times: number, ...echo: string[]) => {
    const args = [port, 2 * settings.hold, Math.round(rate * TIMES_ACCEPT_RATE), times].map(String);
    const child = new ChildProcess('wave', process.execPath, [WAVE, ...args, ...echo]);
    return child.result<WaveResult[]>(300_000);
  };
  const waves: WaveResult[] = [];
  const during = await standing(port, settings, async () => waves.push(...(await wave(settings.waves))));
  // Separate: the echoes of all admitted connections take seconds, in which no connection arrives.
  const echoing = await standing(port, settings, async () => waves.push(...(await wave(1, 'echo'))));
  const after = await standing(port, settings, quiet);
  return { acceptRate: rate, before, during, echoing, after, waves };
}

function line(name: string, { response, errorTotal }: LoadResult): string {
  const ms = (value: number) => value.toFixed(1).padStart(9);
  return `${name.padEnd(18)}${ms(response.p50Ms)}${ms(response.p99Ms)}${ms(response.worstMs)}${String(response.count).padStart(9)}${String(errorTotal).padStart(8)}`;
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

interface Verdict {
  what: string;
  holds: boolean;
  figure: string;
}

function verdicts(figures: Figures, { hold }: Settings): Verdict[] {
  const { before, during, echoing, after, waves } = figures;
  const ratio = during.response.p99Ms / before.response.p99Ms;
  const resets = waves.every(({ refused }) => Object.keys(refused).every((code) => code === 'ECONNRESET'));
  const admitted = waves.map((wave) => wave.admitted);
  const slowest = Math.min(...waves.map(({ rate }) => rate)) / figures.acceptRate;
  const back = after.response.p99Ms / before.response.p99Ms;
  return [
    {
      what: `p99 of the standing clients during the waves, at most ${P99_LIMIT} times that before`,
      holds: ratio <= P99_LIMIT,
      figure: `${ratio.toFixed(2)} times`,
    },
    {
      what: 'arrivals, as a multiple of the accept rate',
      holds: slowest >= TIMES_ACCEPT_RATE * 0.9,
      figure: `${slowest.toFixed(1)} times`,
    },
    { what: 'every refused connection got a reset', holds: resets, figure: resets ? 'yes' : 'no' },
    {
      what: `each wave filled the ${hold / 2} free places exactly`,
      holds: admitted.every((n) => n === hold / 2),
      figure: admitted.join(', '),
    },
    {
      what: 'every admitted connection echoed, and no byte was wrong',
      holds:
        [before, during, echoing, after].every((r) => r.errorTotal === 0) && waves.at(-1)?.notEchoed === 0,
      figure: `${waves.at(-1)?.notEchoed} of the last wave did not`,
    },
    {
      what: 'p99 after the waves, at most twice that before',
      holds: back <= 2,
      figure: `${back.toFixed(2)} times`,
    },
  ];
}

function report(figures: Figures, settings: Settings): string[] {
  const { before, during, after, waves } = figures;
  const times = waves.flatMap(({ refusedAfterMs }) => refusedAfterMs).sort((a, b) => a - b);
  return [
    `hold ${settings.hold}, waves of ${2 * settings.hold}, accept rate ${figures.acceptRate.toFixed(0)}/s ` +
      `(2 ms of work each), standing clients ${settings.hold / 2} at ${STANDING_RATE} requests/s`,
    '',
    `${'response, ms'.padEnd(18)}      p50      p99    worst    count  errors`,
    line('before', before),
    line('during the waves', during),
    line('after', after),
    '',
    ...waves.map(
      (w) =>
        `wave: ${w.attempts} arrivals at ${w.rate.toFixed(0)}/s, ${w.admitted} admitted, ` +
        `refused ${JSON.stringify(w.refused)}`,
    ),
    `reset after: p50 ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms, ` +
      `last ${quantile(times, 1).toFixed(1)} ms`,
    '',
    ...verdicts(figures, settings).map(
      ({ what, holds, figure }) => `${holds ? 'holds' : 'FAILS'}  ${what}: ${figure}`,
    ),
  ];
}

await runProgram('bench:overload', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const settings: Settings = {
    hold: 2 * Math.round(numberFlag('--hold', flags.hold, 20, 8000) / 2),
    waves: numberFlag('--waves', flags.waves, 1, 50),
  };
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  exitOnStopSignal();
  const head = environmentLines();
  const command = kechoPool(['--max-connections', String(settings.hold), '--service', 'burn:2ms']);
  await using server = await ServerUnderTest.start('cmwq', command);
  const figures = await measure(server.port, settings);
  putReport([...head, ...report(figures, settings)], output);
  return verdicts(figures, settings).every(({ holds }) => holds) ? 0 : 1;
});
