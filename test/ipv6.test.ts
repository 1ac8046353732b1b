/**
 * Goal: the server listens and echoes on IPv6; its limit per address counts by prefix.
 * Method: node:net to [::1], skipped on a machine without it; a network namespace with addresses of several prefixes,
 * skipped where the tests may not create one.
 */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { describe, expect, it } from 'vitest';
import { createEchoServer } from '../src/index.ts';
import { Child } from './support/child.ts';
import { STRATEGIES } from './support/server.ts';
import { within } from './support/wait.ts';

const hasLoopback6 = Object.values(networkInterfaces()).some((list) =>
  list?.some(({ address }) => address === '::1'),
);

describe.runIf(hasLoopback6).each(STRATEGIES)('%s: [::1]', (strategy) => {
  it('binds to that address and echoes', async () => {
    await using server = createEchoServer({ strategy, host: '::1', port: 0, logLevel: 'silent' });
    const { address, port } = await server.listen();
    expect(address).toBe('::1');
    const socket = connect({ host: '::1', port });
    socket.end('over IPv6'); // the server answers the FIN after the echo
    const parts: Buffer[] = [];
    socket.on('data', (data: Buffer) => parts.push(data));
    await within(once(socket, 'end'), 'the end of the echo');
    expect(Buffer.concat(parts).toString()).toBe('over IPv6');
  });
});

const PROGRAM = new URL('./support/connect-from.ts', import.meta.url).pathname;
const ADDRESSES = ['2001:db8::1', '2001:db8::2', '2001:db8::3', '2001:db8:0:1::1'];
const ADD = ADDRESSES.map((address) => `ip -6 address add ${address}/128 dev lo nodad`).join(' && ');
const NAMESPACE = ['-n', 'sh', '-c', `ip link set lo up && ${ADD} && exec "$0" "$@"`];
const hasNamespace = hasLoopback6 && spawnSync('unshare', [...NAMESPACE, 'true']).status === 0;

describe.runIf(hasNamespace)('a limit per address', () => {
  const [first = '', second = '', third = '', elsewhere = ''] = ADDRESSES;

  async function outcomes(options: object, from: readonly string[]): Promise<unknown> {
    const pairs = from.map((address) => `${address} ${address.includes(':') ? first : '127.0.0.1'}`);
    const program = [process.execPath, PROGRAM, JSON.stringify(options), ...pairs];
    const child = new Child('unshare', [...NAMESPACE, ...program]);
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    return JSON.parse(child.stdout);
  }

  it('counts IPv6 addresses by /64, IPv4 addresses one by one', async () => {
    const from = [first, second, third, elsewhere, '127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.2'];
    expect(await outcomes({ maxConnectionsPerAddress: 2 }, from)).toEqual(
      ['?', '?', 'ECONNRESET', '?', '?', '?', '?', 'ECONNRESET'], // the server on [::] sees IPv4 as mapped addresses
    );
  });

  it('counts by the given prefix length', async () => {
    const options = { maxConnectionsPerAddress: 1 };
    const from = [first, second, second, elsewhere];
    expect(await outcomes({ ...options, ipv6PrefixLength: 128 }, from)).toEqual([
      '?',
      '?',
      'ECONNRESET',
      '?',
    ]);
    expect(await outcomes({ ...options, ipv6PrefixLength: 48 }, from)).toEqual([
      '?',
      ...new Array(3).fill('ECONNRESET'),
    ]);
  });
});
