/**
 * `npm run bench:memory`: user-space memory of an idle connection.
 *
 * The resident memory of the server before and while a process of its own holds --connections connections, each of
 * which has echoed something at least once in a while. What the kernel keeps for a socket is not in it. Several
 * servers, one after another; the median counts, because a JavaScript heap breathes by some hundred KiB.
 */
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { environment } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import { treeResidentKib } from '../process-figures.ts';
import { Child, guardChildren } from './children.ts';
import { serverEntry, startServer } from './parity/servers.ts';
import { putReport } from './report-file.ts';

const HOLDER = join(import.meta.dirname, '../compare/idle-holder.ts');
const LIMIT_KIB = 2;
/** The heap has settled by then. */
const SETTLE_MS = 3000;

const USAGE = `usage: npm run bench:memory -- [options]

  --connections N  idle connections, from 100 to 500000 (15000)
  --rounds N       servers, one after another, from 1 to 99 (3)
  --output FILE    write the report to FILE as well
  --help           this text

Exit codes: 0 it holds, 1 it fails or an error occurred, 2 wrong usage.
`;

const FLAGS = {
  connections: { type: 'string', default: '15000' },
  rounds: { type: 'string', default: '3' },
  output: { type: 'string' },
} as const;

async function once(connections: number): Promise<number> {
  const args = [serverEntry([]), '--port', '0', '--no-pretty'];
  const [server, port] = await startServer('cmwq', { command: process.execPath, args });
  try {
    await pause(SETTLE_MS);
    const beforeKib = treeResidentKib([server.pid]);
    const holder = new Child('holder', process.execPath, [HOLDER, String(port), String(connections)]);
    try {
      const held = await holder.waitForOutput((text) => (text.includes('\n') ? text : null), 120_000);
      const { failed } = JSON.parse(held) as { failed: number };
      if (failed > 0) throw new Error(`${failed} of ${connections} connections could not be made`);
      await pause(SETTLE_MS);
      return (treeResidentKib([server.pid]) - beforeKib) / connections;
    } finally {
      await holder.stop();
    }
  } finally {
    await server.stop();
  }
}

await runProgram('bench:memory', USAGE, async () => {
  const flags = parseFlags({ options: FLAGS });
  const connections = numberFlag('--connections', flags.connections, 100, 500_000);
  const rounds = numberFlag('--rounds', flags.rounds, 1, 99);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  guardChildren();
  const perConnectionKib: number[] = [];
  for (let i = 0; i < rounds; i++) perConnectionKib.push(await once(connections));
  perConnectionKib.sort((a, b) => a - b);
  const median = perConnectionKib[rounds >> 1] ?? Number.NaN;
  const holds = median <= LIMIT_KIB;
  const text =
    `environment: ${JSON.stringify(environment(null))}\n` +
    `${connections} idle connections: ${median.toFixed(2)} KiB of user-space memory each ` +
    `(${perConnectionKib.map((kib) => kib.toFixed(2)).join(', ')})\n` +
    `${holds ? 'holds' : 'FAILS'}  at most ${LIMIT_KIB} KiB\n`;
  putReport(text, output);
  return holds ? 0 : 1;
});
