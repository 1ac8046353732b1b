/**
 * The other yardstick of `npm run bench:parity`: the echo server everyone would write with node:net.
 *
 *     node bench/peers/node-net.ts [--port P]      prints "listening PORT" once it is ready
 *
 * Runs on the main thread alone; owns its sockets. Backpressure is pipe()'s: a peer that does not read is
 * not read from. It must not be tuned further: what it stands for is plain Node.
 */
import { type AddressInfo, createServer } from 'node:net';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });

const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
  // A connection that breaks is that connection's affair; pipe() itself forwards no errors.
  socket.on('error', () => socket.destroy());
  socket.pipe(socket);
});

server.listen({ host: '127.0.0.1', port: Number(values.port), backlog: 4096 }, () => {
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`);
});

// The benchmark holds the other end of stdin: should it be killed, no server stays behind.
process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0));
process.stdin.resume();
