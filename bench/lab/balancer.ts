/**
 * `npm run bench:balancer`: what HAProxy in front of a server costs.
 *
 * HAProxy with the settings of deploy/haproxy, one server behind it, and the load, all on this machine. Each pair loads the
 * same server directly and through HAProxy, in changing order. Medians over the pairs and of the ratios within each, with
 * ranges; the CPU time of the second includes HAProxy's. Exit codes: 0 measured, 1 an error or a wrong byte, 2 wrong usage.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitOnStopSignal } from '../child-process.ts';
import { environment, environmentLines } from '../environment.ts';
import { fileFlag, numberFlag, parseFlags, runProgram } from '../flags.ts';
import { errorTotal, type Mode } from '../load/result.ts';
import type { LoadResult } from '../load/schema.ts';
import { startLoad } from '../load/start.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { median } from '../stats/summary.ts';
import { putReport } from './report-file.ts';

const USAGE = `usage: npm run bench:balancer -- [options]

  --pairs N      pairs of each load, from 1 to 99 (9)
  --seconds S    length of a measurement, from 1 to 60 (3)
  --output FILE  write the report to a file too
  --help         this text

Exit codes: 0 measured, 1 an error or a wrong byte,
2 wrong usage.
`;
const FLAGS = {
  pairs: { type: 'string', default: '9' },
  seconds: { type: 'string', default: '3' },
  output: { type: 'string' },
} as const;

const CONFIGURATION = new URL('../../deploy/haproxy/haproxy.cfg', import.meta.url);
const LOADS: Record<string, { mode: Mode; clients: number }> = {
  '1 connection, 64 B': { mode: 'closed', clients: 1 },
  '100 connections, 64 B': { mode: 'closed', clients: 100 },
  'connect, echo, close, 20 at a time': { mode: 'churn', clients: 20 },
};
const FIGURES: Record<string, (result: LoadResult) => number> = {
  'per second': ({ perSecond }) => perSecond,
  'p50 ms': ({ response }) => response.p50Ms,
  'p99 ms': ({ response }) => response.p99Ms,
  'CPU us': ({ serverCpuPerSampleUs }) => serverCpuPerSampleUs ?? Number.NaN,
};

interface Pair {
  direct: LoadResult;
  balanced: LoadResult;
}

/** The configuration of deploy/ with this server as its only one, unchecked: checks are a load of their own. */
function configuration(server: ServerUnderTest): string {
  const lines = readFileSync(CONFIGURATION, 'utf8').split('\n');
  const rest = lines.filter((line) => !/^ +(server |default-server |option tcp-check|tcp-check )/.test(line));
  const text = rest.join('\n').replace(/^ {4}bind .*$/m, '    bind "127.0.0.1:$BALANCER_PORT"');
  return `${text}    server only 127.0.0.1:${server.port}\n`;
}

async function startBalancer(server: ServerUnderTest, folder: string): Promise<ServerUnderTest> {
  const file = join(folder, 'haproxy.cfg');
  writeFileSync(file, configuration(server));
  const variables = ['BALANCER_PORT={port}', `STATS_SOCKET=${join(folder, 'stats')}`];
  const args = [...variables, 'haproxy', '-db', '-f', file];
  return ServerUnderTest.start('HAProxy', { command: 'env', args });
}

async function measure(
  port: number,
  load: { mode: Mode; clients: number },
  durationMs: number,
  pids: readonly (number | undefined)[],
): Promise<LoadResult> {
  const times = { 'warmup-ms': 1000, 'duration-ms': durationMs };
  await using generator = startLoad({ ...load, ...times, port, 'watch-pid': pids.join() });
  const result: LoadResult = await generator.result(durationMs + 60_000);
  if (errorTotal(result.errors) > 0) throw new Error(result.errorDetails.join('; '));
  return result;
}

function spread(values: readonly number[]): string {
  return `${median(values).toPrecision(3)} (${Math.min(...values).toPrecision(3)}-${Math.max(...values).toPrecision(3)})`;
}

function rows(pairs: readonly Pair[]): string[] {
  return Object.entries(FIGURES).map(([title, figure]) => {
    const direct = pairs.map((pair) => figure(pair.direct));
    const balanced = pairs.map((pair) => figure(pair.balanced));
    const ratios = pairs.map((pair) => figure(pair.balanced) / figure(pair.direct));
    const cells = [title.padEnd(12), spread(direct).padEnd(30), spread(balanced).padEnd(30), spread(ratios)];
    return `  ${cells.join('')}`;
  });
}

async function main(): Promise<number> {
  const flags = parseFlags({ options: FLAGS });
  const count = numberFlag('--pairs', flags.pairs, 1, 99);
  const durationMs = 1000 * numberFlag('--seconds', flags.seconds, 1, 60);
  const output = flags.output === undefined ? undefined : fileFlag('--output', flags.output);
  exitOnStopSignal();
  const folder = mkdtempSync(join(tmpdir(), 'kecho-pool-'));
  const lines = environmentLines([], environment());
  try {
    await using server = await ServerUnderTest.start('server', kechoPool([]));
    await using balancer = await startBalancer(server, folder);
    for (const [name, load] of Object.entries(LOADS)) {
      const pairs: Pair[] = [];
      for (let n = 0; n < count; n++) {
        const direct = () => measure(server.port, load, durationMs, [server.process.pid]);
        const both = [server.process.pid, balancer.process.pid];
        const balanced = () => measure(balancer.port, load, durationMs, both);
        const first = n % 2 === 0 ? await direct() : await balanced();
        const second = n % 2 === 0 ? await balanced() : await direct();
        pairs.push(n % 2 === 0 ? { direct: first, balanced: second } : { direct: second, balanced: first });
      }
      const heading = `  ${''.padEnd(12)}${'direct'.padEnd(30)}${'through HAProxy'.padEnd(30)}ratio`;
      lines.push('', `${name}: medians, least and most of ${count} pairs`, heading, ...rows(pairs));
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
  putReport(lines, output);
  return 0;
}

await runProgram('bench:balancer', USAGE, main);
