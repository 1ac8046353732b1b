/**
 * The server under test in a separate process, so that neither side delays the other's main thread.
 *
 *     node test/fuzz/server-main.ts '{"strategy":"cmwq"}'
 *
 * Prints {"port":N}, then one line of figures for every line on standard input, and stops when standard input ends. It
 * logs errors only, on the same stream.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { createEchoServer, type EchoServerOptions, type ServerStats } from '../../src/index.ts';

export interface Figures {
  stats: ServerStats;
  /** Open sockets of the process. */
  sockets: number;
}

function openSockets(): number {
  const isSocket = (fd: string) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:');
    } catch {
      return false; // the descriptor that listed them
    }
  };
  return readdirSync('/proc/self/fd').filter(isSocket).length;
}

const options = JSON.parse(process.argv[2] ?? '{}') as EchoServerOptions;
const server = createEchoServer({ port: 0, logLevel: 'error', pretty: false, ...options });
const { port } = await server.listen();
process.stdout.write(`${JSON.stringify({ port })}\n`);
for await (const _ of createInterface({ input: process.stdin })) {
  const figures: Figures = { stats: server.stats(), sockets: openSockets() };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}
const { threadsEnded } = await server.close({ drainTimeoutMs: 0 });
process.exit(threadsEnded ? 0 : 1);
