/**
 * Holds many nearly idle connections open for the experiment `idle`. A separate process.
 *
 *     node bench/compare/idle-holder.ts PORT COUNT [ADDRESS]
 *
 * Prints {"held": n, "failed": n} once every connection is open or has failed, then sends one small message every
 * 10 ms, on each connection in turn, and checks the echo. On SIGTERM it prints {"wrong": n} and resets its connections,
 * so that none stays in TIME_WAIT. It exits when its standard input ends.
 */
import { connect, type Socket } from 'node:net';
import { LOOPBACK } from '../../src/sys/loopback.ts';
import { onConnect } from '../../src/sys/self-connect.ts';
import { reportAtEnd } from './wrong-bytes.ts';

const CONNECTING_MAX = 128;
const SEND_EVERY_MS = 10;
const MESSAGE = Buffer.from('still here, sir\n');

const [port = 0, count = 0] = process.argv.slice(2, 4).map(Number);
const host = process.argv[4] ?? LOOPBACK;
const sockets: Socket[] = [];
let started = 0;
let failed = 0;
let wrong = 0;

/** TCP keeps the order, so the stream is the message repeated. */
function watch(socket: Socket): void {
  let at = 0;
  socket.on('data', (bytes) => {
    for (const byte of bytes) {
      if (byte !== MESSAGE[at]) wrong++;
      at = (at + 1) % MESSAGE.length;
    }
  });
}

function sendInTurn(): void {
  let next = 0;
  setInterval(() => {
    const socket = sockets[next++ % sockets.length];
    if (socket?.writable === true) socket.write(MESSAGE);
  }, SEND_EVERY_MS).unref();
}

function settled(): void {
  if (started < count) open();
  if (sockets.length + failed < count) return;
  process.stdout.write(`${JSON.stringify({ held: sockets.length, failed })}\n`);
  sendInTurn();
}

function open(): void {
  started++;
  const socket = connect({ host, port, noDelay: true });
  let isOpen = false;
  onConnect(socket, () => {
    isOpen = true;
    sockets.push(socket);
    watch(socket);
    settled();
  });
  socket.on('error', () => {
    if (isOpen) return;
    failed++;
    settled();
  });
}

reportAtEnd(sockets, () => wrong);
for (let i = 0; i < Math.min(CONNECTING_MAX, count); i++) open();
