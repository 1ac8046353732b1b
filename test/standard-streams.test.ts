/**
 * Goal: a host program may close its standard streams at any time; the server then uses none of their numbers,
 * connections echo and end, and none leaks.
 * Method: a host process that closes them before or after the start; this process reads its descriptors from /proc.
 */
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { Child } from './support/child.ts';
import { Client, connectTo } from './support/client.ts';
import type { ClosingHost, HostReport } from './support/closing-host.ts';
import { temporaryFolder } from './support/folder.ts';
import { STRATEGIES } from './support/server.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const HOST = fileURLToPath(new URL('support/closing-host.ts', import.meta.url));
const CLIENTS = 6;

class Host {
  readonly child: Child;
  private readonly file = join(temporaryFolder(), 'report');

  constructor(host: Omit<ClosingHost, 'reportFile'>) {
    this.child = new Child(process.execPath, [HOST, JSON.stringify({ ...host, reportFile: this.file })]);
  }

  get report(): HostReport {
    return JSON.parse(readFileSync(this.file, 'utf8')) as HostReport;
  }

  async listening(): Promise<number> {
    const ready = () => existsSync(this.file) || this.child.ended !== null;
    await until(ready, 'the server to listen');
    return this.report.port;
  }

  /** What the descriptor refers to; null when it is closed. */
  at(fd: number): string | null {
    try {
      return readlinkSync(`/proc/${this.child.pid}/fd/${fd}`);
    } catch {
      return null;
    }
  }

  get sockets(): number {
    const fds = readdirSync(`/proc/${this.child.pid}/fd`);
    return fds.filter((fd) => this.at(Number(fd))?.startsWith('socket:')).length;
  }

  async stops(): Promise<void> {
    this.child.signal('SIGTERM');
    expect(await this.child.untilEnded()).toEqual({ code: 0, signal: null });
  }
}

const CASES = (['before', 'after'] as const).flatMap((when) =>
  [[0], [0, 1, 2]].map((streams) => ({ when, streams, title: `${streams.join(', ')} ${when} the start` })),
);

describe.each(STRATEGIES)('%s: standard streams closed', (strategy) => {
  const all = FULL || strategy === 'cmwq'; // the code is the same for all
  it.each(all ? CASES : CASES.filter(({ streams }) => streams.length > 1))(
    '$title: connections echo, end, and none leaks',
    async ({ when, streams }) => {
      const host = new Host({ strategy, when, streams, crowded: false });
      const port = await host.listening();
      const socketsBefore = host.sockets;
      for (let round = 1; round <= 2; round++) {
        // One after another: under workqueue a connection waits until another has ended.
        for (let i = 0; i < CLIENTS; i++) {
          const client = await connectTo(port);
          await client.echo(`client ${i}`);
          for (const fd of streams) expect(host.at(fd) ?? '/').toMatch(/^\//); // closed, or a file: no socket, no epoll
          await client.quit();
        }
        await until(() => host.report.stats.connections.closed.eof === round * CLIENTS, 'all to end');
        expect(host.report.stats.connections.active).toBe(0);
      }
      await until(() => host.sockets === socketsBefore, 'their descriptors to be closed');
      await until(() => streams.every((fd) => host.at(fd) === '/dev/null'), 'the streams to be open again');
      await host.stops();
    },
  );
});

it('a connection is refused and counted when only the number of a standard stream is free', async () => {
  const host = new Host({ strategy: 'workqueue', when: 'after', streams: [0], crowded: true });
  const port = await host.listening();
  const client = new Client(port);
  await client.untilClosed();
  expect(client.errorCode).toBe('ECONNRESET');
  await until(() => host.report.stats.connections.refused.descriptors === 1, 'it to be counted');
  await until(() => host.at(0) === '/dev/null', 'the stream to be open again');
  await (await connectTo(port)).quit();
  await host.stops();
});
