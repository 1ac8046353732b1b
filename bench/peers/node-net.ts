/**
 * A reference of `npm run bench:parity`: the obvious echo server with node:net.
 *
 *     node bench/peers/node-net.ts [--port P]      prints "listening PORT" once it is ready
 *
 * Runs on the main thread only. Backpressure is pipe()'s: the server stops reading from a client that does not read.
 * It must stay untuned, because it represents plain Node.
 */
import { type AddressInfo, createServer } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });

const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
  // An error affects only this connection; pipe() does not forward errors.
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});

server.listen({ host: '127.0.0.1', port: Number(values.port), backlog: 4096 }, () => {
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`);
});

// The benchmark holds the other end of stdin, so the server exits when the benchmark is killed.
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0));
process.stdin.resume();
