/**
 * `npm run bench:noticing`: how late the monitor notices a sleep, and what it costs.
 *
 * Delay: 20 clients of one CPU pool, whose handlers sleep 100 ms, undeclared and declared, and beside them workqueue
 * with a worker for each client. The three servers take turns, in changing order, round after round, so that a busy
 * machine slows all of them; ratios are of the same turn. Cost: CPU time of the monitor's thread over wall time, while
 * 20 clients keep a server busy.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { exitOnStopSignal } from '../child-process.ts';
import { environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { mean, median } from '../stats/summary.ts';
import { putReport } from './report-file.ts';
import { echoOne, open, Rounds } from './rounds.ts';

const CLIENTS = 20;
/** A round creates at most a few threads, and there must be one for each client. */
const WARMUP_ROUNDS = 15;
const WARMUP_MS = 2000;

const USAGE = `usage: npm run bench:noticing -- [options]

  --rounds N     measured rounds of each server, from 1 to 99 (15)
  --seconds N    for which the monitor's cost is measured, from 1 to 600 (10)
  --output FILE  also write the report to FILE
  --help         this text

Exit codes: 0 measured, 1 an error or a wrong byte, 2 wrong usage.
`;

const FLAGS = {
  rounds: { type: 'string', default: '15' },
  seconds: { type: 'string', default: '10' },
  output: { type: 'string' },
} as const;

const HANDLERS = join(import.meta.dirname, 'noticing/handlers.ts');
const cmwq = (handler: string) => ['-s', 'cmwq', '--cpus', '1', '--handler', `${HANDLERS}#${handler}`];

const SLEEPERS = {
  undeclared: cmwq('undeclared'),
  declared: cmwq('declared'),
  workqueue: ['-s', 'workqueue', '--workers', String(CLIENTS), '--handler', `${HANDLERS}#undeclared`],
};
type Sleeper = keyof typeof SLEEPERS;
const NAMES = Object.keys(SLEEPERS) as Sleeper[];

/** The last echo of a round, and the mean of all. */
interface RoundTimes {
  worstMs: number;
  meanMs: number;
}

async function takeTurns(rounds: number): Promise<Record<Sleeper, RoundTimes>[]> {
  await using undeclared = await Rounds.start('undeclared', SLEEPERS.undeclared, CLIENTS);
  await using declared = await Rounds.start('declared', SLEEPERS.declared, CLIENTS);
  await using workqueue = await Rounds.start('workqueue', SLEEPERS.workqueue, CLIENTS);
  const servers = { undeclared, declared, workqueue };
  const turns: Record<Sleeper, RoundTimes>[] = [];
  for (let n = 0; n < WARMUP_ROUNDS + rounds; n++) {
    const none = { worstMs: Number.NaN, meanMs: Number.NaN };
    const turn = { undeclared: none, declared: none, workqueue: none };
    for (let i = 0; i < NAMES.length; i++) {
      const name = NAMES[(n + i) % NAMES.length] as Sleeper;
      const times = await servers[name].next();
      turn[name] = { worstMs: Math.max(...times), meanMs: mean(times) };
    }
    if (n >= WARMUP_ROUNDS) turns.push(turn);
  }
  return turns;
}

function range(values: readonly number[], digits: number): string {
  const [middle, low, high] = [median(values), Math.min(...values), Math.max(...values)];
  return `${middle.toFixed(digits)} (${low.toFixed(digits)}-${high.toFixed(digits)})`;
}

function delayLines(turns: readonly Record<Sleeper, RoundTimes>[]): string[] {
  return NAMES.map((name) => {
    const worst = range(
      turns.map((turn) => turn[name].worstMs),
      0,
    );
    const average = range(
      turns.map((turn) => turn[name].meanMs),
      0,
    );
    const ratio = range(
      turns.map((turn) => turn[name].worstMs / turn.declared.worstMs),
      2,
    );
    return `${name.padEnd(11)} worst ${worst} ms, mean ${average} ms, worst / declared ${ratio}`;
  });
}

/** Kernel id of the monitor's thread: of the threads that a server starts with, Node makes it last. */
function monitorOf(pid: number): number {
  const name = (tid: string) => readFileSync(`/proc/${pid}/task/${tid}/comm`, 'utf8').trim();
  const threads = readdirSync(`/proc/${pid}/task`).filter((tid) => name(tid) === 'WorkerThread');
  return Math.max(...threads.map(Number));
}

/** CPU time of a thread so far, in milliseconds; to the nanosecond, unlike that in its stat. */
function cpuMs(pid: number, tid: number): number {
  const [ranNs] = readFileSync(`/proc/${pid}/task/${tid}/schedstat`, 'utf8').split(' ');
  return Number(ranNs) / 1e6;
}

/** The clients of a server send again as soon as the echo is back. */
async function costLine(name: string, args: readonly string[], seconds: number): Promise<string> {
  await using server = await ServerUnderTest.start(name, kechoPool(args));
  const { pid } = server.process;
  const tid = monitorOf(pid);
  const sockets = await Promise.all(Array.from({ length: CLIENTS }, () => open(server.port)));
  let echoes = 0;
  let stopped = false;
  const clients = sockets.map(async (socket) => {
    while (!stopped) {
      await echoOne(socket);
      echoes++;
    }
    socket.destroy();
  });
  await pause(WARMUP_MS);
  const before = { cpuMs: cpuMs(pid, tid), atMs: performance.now(), echoes };
  await pause(seconds * 1000);
  const wallMs = performance.now() - before.atMs;
  const percent = (100 * (cpuMs(pid, tid) - before.cpuMs)) / wallMs;
  const rate = (echoes - before.echoes) / (wallMs / 1000);
  stopped = true;
  await Promise.all(clients);
  return `${name.padEnd(20)} ${percent.toFixed(2)} % of a core, at ${rate.toFixed(0)} items/s`;
}

await runProgram('bench:noticing', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const rounds = numberFlag('--rounds', flags.rounds, 1, 99);
  const seconds = numberFlag('--seconds', flags.seconds, 1, 600);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  exitOnStopSignal();
  const lines = environmentLines();
  lines.push('', `handlers that sleep 100 ms, ${CLIENTS} clients, ${rounds} rounds: median (least-most)`);
  lines.push(...delayLines(await takeTurns(rounds)));
  lines.push('', `the monitor's thread, ${CLIENTS} clients, ${seconds} s: at most 1 % is the goal`);
  for (const service of ['burn:0.2ms', 'sleep:1ms', 'burn:20ms'])
    lines.push(await costLine(service, ['-s', 'cmwq', '--service', service], seconds));
  for (const handler of ['burning', 'undeclared'])
    lines.push(await costLine(`handler ${handler}`, cmwq(handler), seconds));
  putReport(lines, output);
  return 0;
});
