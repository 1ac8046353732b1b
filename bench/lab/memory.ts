/**
 * `npm run bench:memory`: user-space memory of an idle connection.
 *
 * Resident memory of the server before and while another process holds --connections connections, each of which echoes
 * now and then. The kernel's memory for sockets is not included. Several servers, one after another; the median counts,
 * because a JavaScript heap varies by some hundred KiB.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { LOOPBACK } from '../../src/sys/loopback.ts';
import { exitOnStopSignal } from '../child-process.ts';
import { IdleConnections } from '../compare/idle-connections.ts';
import { environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import { treeResidentKib } from '../process-figures.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { median } from '../stats/summary.ts';
import { putReport } from './report-file.ts';

const LIMIT_KIB = 2;
/** Enough for the heap to settle. */
const SETTLE_MS = 3000;
const OPEN_TIMEOUT_MS = 120_000;

const USAGE = `usage: npm run bench:memory -- [options]

  --connections N  idle connections, from 100 to 500000 (15000)
  --rounds N       servers, one after another, from 1 to 99 (3)
  --output FILE    also write the report to FILE
  --help           this text

Exit codes: 0 limit kept, 1 limit exceeded or an error, 2 wrong usage.
`;

const FLAGS = {
  connections: { type: 'string', default: '15000' },
  rounds: { type: 'string', default: '3' },
  output: { type: 'string' },
} as const;

async function onceKib(connections: number): Promise<number> {
  await using server = await ServerUnderTest.start('cmwq', kechoPool([]));
  const { port, process } = server;
  await pause(SETTLE_MS);
  const beforeKib = treeResidentKib([process.pid]);
  await using idle = await IdleConnections.open({ address: LOOPBACK, port }, connections, OPEN_TIMEOUT_MS);
  if (idle.failed > 0) throw new Error(`${idle.failed} of ${connections} connections failed`);
  await pause(SETTLE_MS);
  return (treeResidentKib([process.pid]) - beforeKib) / connections;
}

await runProgram('bench:memory', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const connections = numberFlag('--connections', flags.connections, 100, 500_000);
  const rounds = numberFlag('--rounds', flags.rounds, 1, 99);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  exitOnStopSignal();
  const lines = environmentLines();
  const eachKib: number[] = [];
  for (let i = 0; i < rounds; i++) eachKib.push(await onceKib(connections));
  const holds = median(eachKib) <= LIMIT_KIB;
  putReport(
    [
      ...lines,
      `${connections} idle connections: ${median(eachKib).toFixed(2)} KiB of user-space memory each ` +
        `(${eachKib.map((kib) => kib.toFixed(2)).join(', ')})`,
      `${holds ? 'holds' : 'FAILS'}  at most ${LIMIT_KIB} KiB`,
    ],
    output,
  );
  return holds ? 0 : 1;
});
