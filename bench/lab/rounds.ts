/**
 * Rounds: clients of a server under test that all send at the same moment, on open connections.
 *
 * workqueue gets new connections each round, because an open one would hold its worker.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { LOOPBACK } from '../../src/sys/loopback.ts';
import { connection } from '../../src/sys/self-connect.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';

export async function open(port: number): Promise<Socket> {
  return connection(connect({ port, host: LOOPBACK, noDelay: true }));
}

/** Sends one byte, and waits until it is back. */
export async function echoOne(socket: Socket): Promise<void> {
  socket.write('x');
  const [echo] = (await once(socket, 'data')) as [Buffer];
  if (echo.toString() !== 'x') throw new Error('a wrong byte came back');
}

export class Rounds {
  private readonly server: ServerUnderTest;
  private readonly clients: number;
  private readonly oneEach: boolean;
  private sockets: Socket[] = [];

  private constructor(server: ServerUnderTest, args: readonly string[], clients: number) {
    this.server = server;
    this.clients = clients;
    this.oneEach = args.includes('workqueue');
  }

  static async start(name: string, args: readonly string[], clients: number): Promise<Rounds> {
    return new Rounds(await ServerUnderTest.start(name, kechoPool(args)), args, clients);
  }

  /** Each client's milliseconds from the moment at which all send to its echo. */
  async next(): Promise<number[]> {
    const { clients, oneEach, server } = this;
    if (this.sockets.length === 0)
      this.sockets = await Promise.all(Array.from({ length: clients }, () => open(server.port)));
    const startMs = performance.now();
    const times = await Promise.all(
      this.sockets.map(async (socket) => {
        await echoOne(socket);
        const tookMs = performance.now() - startMs;
        if (oneEach) socket.end();
        return tookMs;
      }),
    );
    if (oneEach) this.sockets = [];
    return times;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await this.server.process.stop();
  }
}
