/**
 * A peer of `kecho-pool compare`: the server of node-net.ts in one process per processor, with node:cluster.
 *
 *     node bench/peers/node-cluster.ts [--port P]      prints "listening PORT" once all processes are ready
 *
 * The primary process accepts and distributes connections round-robin (node:cluster's default); a worker process serves
 * its connections on one thread with pipe(). It is deliberately untuned: it represents the manual's example.
 */
import cluster from 'node:cluster';
import { type AddressInfo, createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });

function serve(): void {
  const server = createServer({ noDelay: true, keepAlive: true }, (socket) => {
    // An error affects only this connection; pipe() does not forward errors.
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen({ host: '127.0.0.1', port: Number(values.port), backlog: 4096 }, () => {
    process.send?.((server.address() as AddressInfo).port);
  });
  // Workers exit when the primary process is killed.
  process.on('disconnect', () => process.exit(0));
}

function manage(): void {
  let ready = 0;
  const count = availableParallelism();
  for (let i = 0; i < count; i++) {
    // All workers share one port, even with port 0: the primary process listens.
    cluster.fork().once('message', (port: unknown) => {
      if (++ready === count) process.stdout.write(`listening ${String(port)}\n`);
    });
  }
  cluster.on('exit', () => process.exit(1)); // with fewer workers it would be a different server
  // The benchmark holds the other end of stdin, so the server exits when the benchmark is killed.
  process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0));
  process.stdin.resume();
}

if (cluster.isPrimary) manage();
else serve();
