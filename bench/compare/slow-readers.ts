/**
 * Clients that send all the time and read slowly, for the experiment `slow-readers`. A separate process.
 *
 *     node bench/compare/slow-readers.ts PORT COUNT [ADDRESS]
 *
 * Prints "ready" once all are connected and have begun to send. On SIGTERM it prints
 * {"wrong": n}, the number of wrong bytes among those read, and resets its connections. It exits when its standard input
 * ends, or when a connection fails.
 */
import { connect, type Socket } from 'node:net';
import { LOOPBACK } from '../../src/sys/loopback.ts';
import { reportAtEnd } from './wrong-bytes.ts';

const READ_EVERY_MS = 100;
const READ_BYTES = 4096;
const PIECE = Buffer.alloc(64 * 1024, 'slow');

const [port = 0, count = 0] = process.argv.slice(2, 4).map(Number);
const host = process.argv[4] ?? LOOPBACK;
const sockets: Socket[] = [];
let wrong = 0;

/** Sends until the socket takes no more, and again when it does. */
function send(socket: Socket): void {
  while (socket.write(PIECE));
}

/** TCP keeps the order, so the stream is the piece repeated. */
function readSlowly(socket: Socket): void {
  let at = 0;
  setInterval(() => {
    const bytes = (socket.read(READ_BYTES) ?? socket.read()) as Buffer | null;
    for (const byte of bytes ?? []) if (byte !== PIECE[at++ % 4]) wrong++;
  }, READ_EVERY_MS);
}

function begin(socket: Socket): void {
  sockets.push(socket);
  readSlowly(socket);
  socket.on('drain', () => send(socket));
  send(socket);
  if (sockets.length === count) process.stdout.write('ready\n');
}

reportAtEnd(sockets, () => wrong);
for (let i = 0; i < count; i++) {
  const socket = connect({ host, port });
  socket
    .on('connect', () => begin(socket))
    .on('error', (error) => {
      process.stderr.write(`${error.message}\n`);
      process.exit(1);
    });
}
