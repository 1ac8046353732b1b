/**
 * Clients of an admin endpoint that ask /metrics in a loop, until the process is ended. Arguments: the port, their number.
 */
import { Agent, get } from 'node:http';

const [port, count] = process.argv.slice(2).map(Number);
const agent = new Agent({ keepAlive: true });

function poll(): void {
  get({ agent, host: '127.0.0.1', port, path: '/metrics' }, (response) => {
    response.resume().once('end', poll);
  });
}

for (let i = 0; i < (count ?? 0); i++) poll();
