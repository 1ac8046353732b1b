/**
 * A peer of `kecho-pool compare`: connections are transferred as net.Socket objects to Piscina workers.
 *
 *     node bench/peers/piscina-transfer.ts [--port P]      prints "listening PORT" once all workers are ready
 *
 * The design that kecho-pool rejected. The main thread accepts and posts each socket to the worker with the fewest
 * connections: `postMessage({socket}, [socket])`, available since Node 24.20. Each worker runs one endless task that
 * serves its sockets on its own event loop with `data` and `write`, and stops reading from a client that does not read.
 * This file is both the main program and the worker task.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { isMainThread, MessageChannel, type MessagePort } from 'node:worker_threads';
import { Piscina } from 'piscina';

type ToWorker = { socket: Socket };
type ToMain = 'ready' | 'closed';

function echo(socket: Socket, port: MessagePort): void {
  const message: ToMain = 'closed';
  socket.on('data', (bytes) => {
    if (!socket.write(bytes)) socket.pause();
  });
  socket.on('drain', () => socket.resume());
  socket.on('end', () => socket.end());
  socket.on('error', () => socket.destroy());
  socket.on('close', () => port.postMessage(message));
}

/** The worker task: serves the sockets from the port, forever. */
export default function serve({ port }: { port: MessagePort }): Promise<never> {
  port.on('message', ({ socket }: ToWorker) => echo(socket, port));
  const message: ToMain = 'ready';
  port.postMessage(message);
  return new Promise(() => {});
}

interface Worker {
  port: MessagePort;
  connections: number;
}

async function startWorkers(count: number): Promise<Worker[]> {
  const pool = new Piscina({
    filename: import.meta.url,
    minThreads: count,
    maxThreads: count,
    atomics: 'disabled',
  });
  const starts = Array.from({ length: count }, () => {
    const { port1, port2 } = new MessageChannel();
    const worker: Worker = { port: port1, connections: 0 };
    const ready = Promise.withResolvers<Worker>();
    port1.on('message', (message: ToMain) => {
      if (message === 'ready') ready.resolve(worker);
      else worker.connections--;
    });
    // Piscina's type for the list is that of another postMessage overload.
    pool.run({ port: port2 }, { transferList: [port2] as never }).catch(() => process.exit(1));
    return ready.promise;
  });
  return Promise.all(starts);
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { port: { type: 'string', default: '0' } } });
  const workers = await startWorkers(availableParallelism());
  const server = createServer({ noDelay: true, keepAlive: true, pauseOnConnect: true }, (socket) => {
    // reduce() needs at least one worker.
    const worker = workers.reduce((best, next) => (next.connections < best.connections ? next : best));
    worker.connections++;
    worker.port.postMessage({ socket } satisfies ToWorker, [socket]);
  });
  server.listen({ host: '127.0.0.1', port: Number(values.port), backlog: 4096 }, () => {
    process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`);
  });
  // The benchmark holds the other end of stdin, so the server exits when the benchmark is killed.
  process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0));
  process.stdin.resume();
}

if (isMainThread) await main();
