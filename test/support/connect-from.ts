/**
 * A program for tests: a server on all addresses, and one client after the other from the given addresses, which its
 * network namespace must have.
 *
 * Arguments: the server's options as JSON, then pairs of a client's address and the address that it connects to.
 * Prints a JSON list: each client's first echoed byte, or its error code.
 */
import { connect, type Socket } from 'node:net';
import { createEchoServer, type EchoServerOptions } from '../../src/index.ts';

const [options = '{}', ...pairs] = process.argv.slice(2);
const server = createEchoServer({
  ...(JSON.parse(options) as EchoServerOptions),
  host: '::',
  port: 0,
  logLevel: 'silent',
});
const { port } = await server.listen();
const sockets: Socket[] = [];

function outcome(localAddress: string, host: string): Promise<string> {
  const socket = connect({ localAddress, host, port });
  sockets.push(socket);
  socket.write('?');
  return new Promise((resolve) => {
    socket.once('data', (data) => resolve(data.toString()));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
}

const outcomes: string[] = [];
for (const pair of pairs) {
  const [from = '', to = ''] = pair.split(' ');
  outcomes.push(await outcome(from, to));
}
process.stdout.write(`${JSON.stringify(outcomes)}\n`);
for (const socket of sockets) socket.destroy();
await server.close({ drainTimeoutMs: 0 });
