/**
 * `npm run bench:parity`: cmwq against a C epoll server and a node:net server, on the same loads.
 *
 * The main thread only waits: servers and load generator are separate processes. It owns the order of the runs and the
 * output: results on stdout, progress on stderr when that is a terminal. Exit codes: 0 measured, targets met or not;
 * 1 a wrong byte or any error; 2 bad usage.
 */
import { STDOUT } from '../../src/options/values.ts';
import { exitOnStopSignal } from '../child-process.ts';
import type { EnvironmentInfo } from '../compare/types.ts';
import { environment, environmentLines } from '../environment.ts';
import { putJson, runProgram } from '../flags.ts';
import { SERVERS, type ServerName, TARGETS } from './parity/cells.ts';
import { isBad, measure, type Run } from './parity/measure.ts';
import { type ParityOptions, parityOptions, USAGE } from './parity/parity-options.ts';
import { type PlannedRun, plan } from './parity/plan.ts';
import { verdicts } from './parity/ratios.ts';
import { cellReport, failureReport, verdictReport } from './parity/report.ts';
import { type Commands, prepareServers } from './parity/servers.ts';

function printOn(isShown: boolean): (lines: readonly string[]) => void {
  return (lines) => {
    if (isShown && lines.length > 0) process.stdout.write(`${lines.join('\n')}\n`);
  };
}

function progress(text: string): void {
  // Carriage return and "erase line": progress overwrites itself.
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}

function headReport(options: ParityOptions, env: EnvironmentInfo, servers: Commands, runs: number): string[] {
  const { repeat, seconds, warmupSeconds, cpus, seed } = options;
  return [
    ...environmentLines([], env),
    `${runs} runs: ${repeat} repeats, ${warmupSeconds} s warm-up and ${seconds} s window each, ${cpus} CPU pools or threads, seed ${seed}`,
    ...servers.notes.map((note) => `note: ${note}`),
    '',
  ];
}

async function measureAll(
  runs: readonly PlannedRun[],
  options: ParityOptions,
  servers: Commands,
): Promise<Run[]> {
  const done: Run[] = [];
  for (const planned of runs) {
    const { server, cell, repeat } = planned;
    progress(`run ${done.length + 1} of ${runs.length}: repeat ${repeat}, ${cell.title}, ${server}`);
    const command = servers.commands[server];
    if (command !== undefined) done.push(await measure(planned, options, command));
  }
  progress('');
  return done;
}

/** The shuffled order of the servers within each repeat and cell. */
function orderReport(runs: readonly PlannedRun[]): string[] {
  const pairs = Map.groupBy(runs, ({ repeat, cell }) => `${repeat}:${cell.name}`);
  const groups = [...pairs].map(
    ([key, members]) => `${key} ${members.map(({ server }) => server).join('>')}`,
  );
  return [`order (repeat:cell servers): ${groups.join(', ')}`, ''];
}

async function main(): Promise<number> {
  const options = parityOptions(process.argv.slice(2));
  const print = printOn(options.json !== STDOUT);
  exitOnStopSignal();
  const servers = prepareServers(options);
  const names: ServerName[] = SERVERS.filter((name) => servers.commands[name] !== undefined);
  const planned = plan(options.repeat, options.cells, names, options.seed);
  const env = environment();
  print(headReport(options, env, servers, planned.length));
  print(orderReport(planned));
  const runs = await measureAll(planned, options, servers);
  for (const cell of options.cells) print(cellReport(runs, cell, names));
  const found = verdicts(runs, options.cells, TARGETS);
  print(verdictReport(found));
  print(failureReport(runs));
  if (runs.some((run) => run.result?.saturated)) {
    print([
      '* The generator ran or waited for a processor during more than 95 % of some run: it may have limited the rate there.',
    ]);
  }
  if (options.json !== undefined) {
    const { notes, commands } = servers;
    const all = { environment: env, options, commands, notes, runs, verdicts: found };
    putJson(options.json, all);
  }
  return runs.some(isBad) ? 1 : 0;
}

await runProgram('bench:parity', USAGE, main);
