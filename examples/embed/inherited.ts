/**
 * A server that takes its listening socket from a service manager, which keeps it open while the server restarts, so that
 * no client is refused:
 *
 *     systemd-socket-activate -l 12345 node examples/embed/inherited.ts
 *
 * in a clone, after `npm ci`; it starts with the first connection.
 */
import { once } from 'node:events';
import { createEchoServer } from 'kecho-pool';

/** The first inherited descriptor (sd_listen_fds(3)). */
const LISTEN_FDS_START = 3;

if (process.env.LISTEN_FDS !== '1') throw new Error('LISTEN_FDS must be 1: one listening socket');
const server = createEchoServer();
const { address, port } = await server.listen({ fd: LISTEN_FDS_START });
console.log(`listening on ${address} port ${port}`);
await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await server.close();
