/**
 * Clients of an admin endpoint that ask /metrics in a loop, until the process is ended. Arguments: the port, their number,
 * and how long each pauses after a response, in ms.
 */
import { Agent, get } from 'node:http';
import { LOOPBACK } from '../../../src/sys/loopback.ts';

const [port, count = 0, pauseMs = 0] = process.argv.slice(2).map(Number);
const agent = new Agent({ keepAlive: true });

function poll(): void {
  get({ agent, host: LOOPBACK, port, path: '/metrics' }, (response) => {
    response.resume().once('end', () => (pauseMs === 0 ? poll() : setTimeout(poll, pauseMs)));
  });
}

for (let i = 0; i < count; i++) poll();
