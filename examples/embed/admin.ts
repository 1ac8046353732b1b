/**
 * The same with the admin endpoint: health checks, Prometheus metrics, the dashboard, on a thread of its own.
 *
 * `npx node examples/embed/admin.ts` in a clone, after `npm ci`; then open the address that it prints.
 */
import { once } from 'node:events';
import { createEchoServer } from 'kecho-pool';
import { createAdmin } from 'kecho-pool/admin';

const listen = '127.0.0.1:0';
const server = createEchoServer({ port: 0, admin: listen, service: ['burn:1ms,sleep:5ms'] });
const admin = createAdmin(server, { listen });
const { url } = await admin.listen(); // first, so that a balancer sees the start
const { address, port } = await server.listen();
console.log(`listening on ${address} port ${port}`);
console.log(`dashboard: ${url}`);
await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await server.close();
await admin.close(); // last, so that watchers see the drain
