/**
 * Your own server, compared with the strategies under the same loads:
 *
 *     npx kecho-pool compare --quick --target 'own=node examples/compare/own-server.ts'
 *
 * It prints the line "listening PORT", and echoes. Programs in any language can be compared.
 */
import { type AddressInfo, createServer } from 'node:net';

const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
  socket.on('error', () => socket.destroy()); // a client that resets its connection
  socket.pipe(socket);
});
server.listen(0, '127.0.0.1', () => {
  console.log(`listening ${(server.address() as AddressInfo).port}`);
});
