/**
 * A program with an echo server in it: `npx node examples/embed/server.ts` in a clone, after `npm ci`.
 *
 * It serves until SIGTERM or SIGINT, then drains.
 */
import { once } from 'node:events';
import { createEchoServer } from 'kecho-pool';

await using server = createEchoServer({ strategy: 'cmwq', port: 0, drainTimeoutMs: 5000 });
const { address, port } = await server.listen();
console.log(`listening on ${address} port ${port}`);
await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
const { cut } = await server.close();
console.log(`${cut} connections were cut`);
