/**
 * Echo servers that are occasionally wrong, whose faults the fuzzer must find, and a correct one, in which it must find
 * none. On node:net, which drops urgent bytes: a fault in itself.
 *
 *     node test/fuzz/liar-main.ts drop
 *
 * Prints {"port":N}, answers every line on standard input with null, and exits when standard input ends.
 */
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

/** Every 40th chunk or connection is mistreated. */
const EVERY = 40;
let count = 0;
let held: Buffer | null = null;

function isTurn(): boolean {
  return ++count % EVERY === 0;
}

type Lie = (data: Buffer, socket: Socket) => Buffer;

const LIES: Record<string, Lie> = {
  honest: (data) => data,
  drop: (data) => (isTurn() ? data.subarray(0, -1) : data),
  duplicate: (data) => (isTurn() ? Buffer.concat([data, data.subarray(-1)]) : data),
  alter(data) {
    if (isTurn()) data.writeUInt8(data.readUInt8(0) ^ 1, 0);
    return data;
  },
  /** The bytes of another connection. */
  mixUp(data) {
    const other = held;
    held = isTurn() ? Buffer.from(data) : null;
    return other === null ? data : Buffer.concat([other, data]).subarray(0, data.length);
  },
  forgetFin: (data) => data,
  lateByte: (data) => data,
  endEarly(data, socket) {
    if (isTurn()) socket.end(data);
    return data;
  },
  reset(data, socket) {
    if (isTurn()) socket.resetAndDestroy();
    return data;
  },
  swallow: (data) => (isTurn() ? Buffer.alloc(0) : data),
};

const name = process.argv[2] ?? '';
const lie = LIES[name];
if (lie === undefined) throw new Error(`no server "${name}" among ${Object.keys(LIES).join(', ')}`);

const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
  socket.on('error', () => {});
  socket.on('data', (data: Buffer) => {
    const answer = lie(data, socket);
    if (socket.destroyed || socket.writableEnded) return;
    if (!socket.write(answer)) {
      socket.pause();
      socket.once('drain', () => socket.resume());
    }
  });
  socket.on('end', () => {
    if (name === 'forgetFin' && isTurn()) return;
    if (name === 'lateByte' && isTurn()) socket.write('!');
    socket.end();
  });
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => {
  process.stdout.write(`${JSON.stringify({ port: (server.address() as AddressInfo).port })}\n`);
});
for await (const _ of createInterface({ input: process.stdin })) process.stdout.write('null\n');
process.exit(0);
