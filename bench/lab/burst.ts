/**
 * `npm run bench:burst`: a burst of sleeping items on a fresh server, which has threads for few of them.
 *
 * 200 open connections send at the same moment to a server with default options, whose handlers sleep for a second. A wait
 * is the time to the echo beyond that second. Where a connection waits is read before the burst (load/event-loops.ts).
 * With --baseline the build of another folder takes turns, in changing order, each time with a new process; ratios are of
 * the same turn.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { UsageError } from '../../src/options/values.ts';
import { exitOnStopSignal } from '../child-process.ts';
import { environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import { eventLoops } from '../load/event-loops.ts';
import { kechoPool, serverEntry } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { median } from '../stats/summary.ts';
import { putReport } from './report-file.ts';
import { echoOne, open } from './rounds.ts';

const CLIENTS = 200;
const SLEEP_MS = 1000;
const STATS_TIMEOUT_MS = 20_000;

const USAGE = `usage: npm run bench:burst -- [options]

  --turns N       bursts on each server, from 1 to 99 (5)
  --baseline DIR  a folder of this repository at another commit, built: its
                  server takes turns with this one
  --output FILE   also write the report to FILE
  --help          this text

Exit codes: 0 measured, 1 an error or a wrong byte, 2 wrong usage.
`;

const FLAGS = {
  turns: { type: 'string', default: '5' },
  baseline: { type: 'string' },
  output: { type: 'string' },
} as const;

interface Burst {
  /** From the moment at which all send to the last echo. */
  allMs: number;
  /** The worst wait of each CPU pool, the longest first. */
  worstMs: readonly number[];
  threads: number;
}

/** The number of threads that the server has created since its start. */
async function threadsCreated(server: ServerUnderTest): Promise<number> {
  const { promise, resolve } = Promise.withResolvers<number>();
  server.onEntry = ({ msg, threads }) => {
    if (msg === 'stats') resolve((threads as { created: number }).created);
  };
  server.process.signal('SIGUSR2');
  return server.process.unlessItEnds(promise, 'a line with its figures', STATS_TIMEOUT_MS);
}

async function measure(name: string, entry: string): Promise<Burst> {
  await using server = await ServerUnderTest.start(
    name,
    kechoPool(['--service', `sleep:${SLEEP_MS}ms`], entry),
  );
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => open(server.port)));
  try {
    let { loops, accepted } = eventLoops([server.process.pid], server.port);
    while (accepted < CLIENTS || loops.flat().length < CLIENTS)
      ({ loops, accepted } = eventLoops([server.process.pid], server.port));
    const startMs = performance.now();
    const times = await Promise.all(
      sockets.map(async (socket) => {
        await echoOne(socket);
        return { port: socket.localPort, tookMs: performance.now() - startMs };
      }),
    );
    const waitsIn = (ports: readonly number[]) =>
      times.filter(({ port }) => port !== undefined && ports.includes(port)).map(({ tookMs }) => tookMs);
    return {
      allMs: Math.max(...times.map(({ tookMs }) => tookMs)),
      worstMs: loops.map((ports) => Math.max(...waitsIn(ports)) - SLEEP_MS).sort((a, b) => b - a),
      threads: await threadsCreated(server),
    };
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function range(values: readonly number[], digits = 0): string {
  const shown = [median(values), Math.min(...values), Math.max(...values)].map((n) => n.toFixed(digits));
  return `${shown[0]} (${shown[1]}-${shown[2]})`;
}

function rows(name: string, bursts: readonly Burst[]): string[] {
  const pools = Math.min(...bursts.map(({ worstMs }) => worstMs.length));
  const ofPool = (n: number) => range(bursts.map(({ worstMs }) => worstMs[n] as number)); // n < pools
  return [
    `${name}: all answered after ${range(bursts.map(({ allMs }) => allMs))} ms, ` +
      `threads created ${range(bursts.map(({ threads }) => threads))}`,
    `  worst wait of each CPU pool, ms: ${Array.from({ length: pools }, (_, n) => ofPool(n)).join(', ')}`,
  ];
}

await runProgram('bench:burst', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const turns = numberFlag('--turns', flags.turns, 1, 99);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  const entries: Record<string, string> = { server: serverEntry() };
  if (flags.baseline !== undefined) {
    const baseline = join(flags.baseline, 'dist/src/bin.js');
    if (!existsSync(baseline)) throw new UsageError('--baseline', flags.baseline, 'a folder with a build');
    entries.baseline = baseline;
  }
  exitOnStopSignal();
  const names = Object.keys(entries);
  const bursts: Record<string, Burst[]> = Object.fromEntries(names.map((name) => [name, []]));
  for (let turn = 0; turn < turns; turn++)
    for (const name of turn % 2 === 0 ? names : names.toReversed())
      bursts[name]?.push(await measure(name, entries[name] as string)); // a key of entries
  const { server = [], baseline } = bursts;
  const lines = [
    ...environmentLines(),
    '',
    `${CLIENTS} handlers that sleep ${SLEEP_MS} ms, ${turns} turns: median (least-most)`,
    ...names.flatMap((name) => rows(name, bursts[name] ?? [])),
  ];
  if (baseline !== undefined) {
    const ratios = server.map(({ allMs }, turn) => allMs / (baseline[turn] as Burst).allMs); // of as many turns
    lines.push(`time until all are answered, server / baseline: ${range(ratios, 2)}`);
  }
  putReport(lines, output);
  return 0;
});
