/**
 * A peer of `kecho-pool compare`: the server of node-net.ts in as many processes as there are processors,
 * with node:cluster.
 *
 *     node bench/peers/node-cluster.ts [--port P]      prints "listening PORT" once all processes are ready
 *
 * The primary process accepts and passes connections on in turn (node:cluster's default); a worker process
 * serves its connections on one thread with pipe(). Nothing is tuned: it stands for what the manual says.
 */
import cluster from 'node:cluster';
import { type AddressInfo, createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });

function serve(): void {
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    // A connection that breaks is that connection's affair; pipe() itself forwards no errors.
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen({ host: '127.0.0.1', port: Number(values.port), backlog: 4096 }, () => {
    process.send?.((server.address() as AddressInfo).port);
  });
  // Should the primary process be killed, no worker stays behind.
  process.on('disconnect', () => process.exit(0));
}

function manage(): void {
  let ready = 0;
  const count = availableParallelism();
  for (let i = 0; i < count; i++) {
    // All of them get the same port, also when it is 0: the primary process listens for all.
    cluster.fork().once('message', (port: unknown) => {
      if (++ready === count) process.stdout.write(`listening ${String(port)}\n`);
    });
  }
  cluster.on('exit', () => process.exit(1)); // one worker less is another server
  // The benchmark holds the other end of stdin: should it be killed, no server stays behind.
  process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0));
  process.stdin.resume();
}

if (cluster.isPrimary) manage();
else serve();
