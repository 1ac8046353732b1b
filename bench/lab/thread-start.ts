/**
 * `npm run bench:thread-start`: how long this project's threads take to start, beside a Piscina thread with an empty
 * task.
 *
 * From the call that creates the thread to the result of its first task, which ends at once: STOP is set, and the
 * connection is /dev/null. The last row is the first echo of a connection under kthread, which has to wait for its
 * thread. All take turns, in changing order; ratios are of the same turn, since a busy machine slows all of them.
 */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Piscina } from 'piscina';
import { SharedState, STOP, type WorkerData } from '../../src/memory/layout.ts';
import { FIRST_TASK, resourceLimits, type WorkerModule } from '../../src/pool/threads.ts';
import { koffiFile } from '../../src/sys/libc.ts';
import { exitOnStopSignal } from '../child-process.ts';
import { environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import { kechoPool, ROOT } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { median } from '../stats/summary.ts';
import { putReport } from './report-file.ts';
import { echoOne, open } from './rounds.ts';

const LIMIT = 1.25;

const USAGE = `usage: npm run bench:thread-start -- [options]

  --turns N      from 1 to 999 (60)
  --output FILE  also write the report to FILE
  --help         this text

Needs a build. Exit codes: 0 measured, 1 an error, 2 wrong usage.
`;

const FLAGS = { turns: { type: 'string', default: '60' }, output: { type: 'string' } } as const;

/** Wall and CPU time, the latter of this process with all of its threads. */
interface Start {
  wallMs: number;
  cpuMs: number;
}

async function timed(start: () => Promise<unknown>): Promise<Start> {
  const [before, startMs] = [process.cpuUsage(), performance.now()];
  await start();
  const [wallMs, { user, system }] = [performance.now() - startMs, process.cpuUsage(before)];
  return { wallMs, cpuMs: (user + system) / 1000 };
}

type PiscinaOptions = NonNullable<ConstructorParameters<typeof Piscina>[0]>;

async function startThread(options: PiscinaOptions, name = 'default', argument?: number): Promise<Start> {
  const piscina = new Piscina({ minThreads: 0, maxThreads: 1, atomics: 'disabled', ...options });
  const start = await timed(() => piscina.run(argument, { name }));
  await piscina.destroy();
  return start;
}

async function startWorker(module: WorkerModule, argument: number): Promise<Start> {
  const name = FIRST_TASK[module];
  const shared = SharedState.create({ cpus: 1, workers: 1, fdLimit: 1024, spills: 0 });
  Atomics.store(shared.words, STOP, 1);
  const workerData: WorkerData = { ...shared.buffers, koffiFile: koffiFile() };
  const filename = join(ROOT, `dist/workers/${module}.cjs`);
  return startThread(
    { filename, name, workerData, resourceLimits: resourceLimits(undefined) },
    name,
    argument,
  );
}

/** The CPU time is that of the client. */
function firstEcho(port: number): Promise<Start> {
  return timed(async () => {
    const socket = await open(port);
    await echoOne(socket);
    socket.destroy();
  });
}

function row(name: string, starts: readonly Start[], empty: readonly Start[]): string {
  const figures = (['wallMs', 'cpuMs'] as const).map((key) => {
    const ratio = median(starts.map((start, i) => start[key] / (empty[i] as Start)[key])); // of the same turn
    return `${median(starts.map((start) => start[key])).toFixed(1)} ms (${ratio.toFixed(2)})`;
  });
  return `${name.padEnd(30)} ${figures.map((text) => text.padEnd(16)).join(' ')}`.trimEnd();
}

await runProgram('bench:thread-start', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const turns = numberFlag('--turns', flags.turns, 1, 999);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  exitOnStopSignal();
  const folder = mkdtempSync(join(tmpdir(), 'thread-start-'));
  const filename = join(folder, 'empty.cjs');
  writeFileSync(filename, 'module.exports = () => {};\n');
  const nothing = openSync('/dev/null', 'r+');
  try {
    await using kthread = await ServerUnderTest.start('kthread', kechoPool(['--strategy', 'kthread']));
    const kinds: Record<string, () => Promise<Start>> = {
      'Piscina, an empty task': () => startThread({ filename }),
      kworker: () => startWorker('kworker', 1),
      'serve-fs': () => startWorker('serve-fs', nothing),
      'serve-ffi': () => startWorker('serve-ffi', nothing),
      'first echo under kthread': () => firstEcho(kthread.port),
    };
    const names = Object.keys(kinds);
    const starts = new Map<string, Start[]>(names.map((name) => [name, []]));
    for (let turn = -1; turn < turns; turn++) {
      for (let i = 0; i < names.length; i++) {
        const name = names[(turn + 1 + i) % names.length] as string; // names is not empty
        const start = await kinds[name]?.();
        if (turn >= 0 && start !== undefined) starts.get(name)?.push(start);
      }
    }
    const [empty] = starts.values();
    putReport(
      [
        ...environmentLines(),
        `medians of ${turns} starts; in parentheses the median ratio to the empty task, at most ${LIMIT} for threads`,
        `${''.padEnd(30)} time             CPU time`,
        ...[...starts].map(([name, each]) => row(name, each, empty as Start[])),
      ],
      output,
    );
  } finally {
    closeSync(nothing);
    rmSync(folder, { recursive: true });
  }
  return 0;
});
