/**
 * A server that changes the first byte of each echo: a target for tests of the comparison.
 */
import { type AddressInfo, createServer } from 'node:net';

const server = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.on('data', (bytes: Buffer) => {
    bytes[0] = ~(bytes[0] as number) & 0xff; // data is never empty
    socket.write(bytes);
  });
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`listening ${(server.address() as AddressInfo).port}\n`);
});
process.stdin.on('end', () => process.exit(0));
process.stdin.resume();
