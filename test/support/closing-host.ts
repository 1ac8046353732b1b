/**
 * A program for tests: a host that closes its standard streams before or after its server starts.
 *
 * Argument: JSON of ClosingHost. It writes its report to a file, since it may have no standard output, and drains at
 * SIGTERM.
 */
import { closeSync, renameSync, writeFileSync } from 'node:fs';
import { createEchoServer, type ServerStats, type StrategyName } from '../../src/index.ts';
import { F_GETFD, libc } from '../../src/sys/libc.ts';

export interface ClosingHost {
  strategy: StrategyName;
  when: 'before' | 'after';
  streams: number[];
  /** Makes fcntl(2) find no number for a duplicate, as when all descriptors are taken. */
  crowded: boolean;
  reportFile: string;
}

export interface HostReport {
  port: number;
  stats: ServerStats;
}

const REPORT_MS = 20;

function closeStreams(streams: readonly number[]): void {
  for (const fd of streams) closeSync(fd);
}

function failDuplication(): void {
  const { fcntl } = libc;
  const crowded = libc as { fcntl: typeof fcntl };
  crowded.fcntl = (fd, command, argument) => fcntl(fd, command, command === F_GETFD ? argument : -1);
}

async function run({ strategy, when, streams, crowded, reportFile }: ClosingHost): Promise<void> {
  const server = createEchoServer({ strategy, port: 0, logLevel: 'silent' });
  if (when === 'before') closeStreams(streams);
  const { port } = await server.listen();
  if (crowded) failDuplication();
  const report = () => {
    writeFileSync(`${reportFile}.new`, JSON.stringify({ port, stats: server.stats() } satisfies HostReport));
    renameSync(`${reportFile}.new`, reportFile);
  };
  if (when === 'after') closeStreams(streams);
  const timer = setInterval(report, REPORT_MS);
  process.once('SIGTERM', async () => {
    clearInterval(timer);
    await server.close();
    report();
  });
}

if (process.argv[2] !== undefined) await run(JSON.parse(process.argv[2]) as ClosingHost);
