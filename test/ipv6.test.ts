/**
 * Goal: the server listens on IPv6, says so, and echoes there.
 * Method: node:net to [::1]; skipped on a machine without it.
 */
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { createEchoServer } from '../src/index.ts';
import { STRATEGIES } from './support/server.ts';
import { within } from './support/wait.ts';

const hasLoopback6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

describe.runIf(hasLoopback6).each(STRATEGIES)('%s: [::1]', (strategy) => {
  it('echoes, and is bound to that address', async () => {
    await using server = createEchoServer({ strategy, host: '::1', port: 0, logLevel: 'silent' });
    const { address, port } = await server.listen();
    expect(address).toBe('::1');
    const socket = connect({ host: '::1', port });
    socket.end('over IPv6'); // the FIN comes back after the echo, or this reads on
    const parts: Buffer[] = [];
    socket.on('data', (data: Buffer) => parts.push(data));
    await within(once(socket, 'end'), 'the end of the echo');
    expect(Buffer.concat(parts).toString()).toBe('over IPv6');
  });
});
