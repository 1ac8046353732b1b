/**
 * Finds the address of the target, and how far away it is.
 *
 * A name may have addresses of both families, and the server may listen on only one of them: hosts(5) may list ::1 first
 * for localhost. The first address on which a server listens is measured, as other clients do.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { check, libc } from '../../../src/sys/libc.ts';
import { LOOPBACK, loopbackAddress } from '../../../src/sys/loopback.ts';
import { AF_INET, AF_INET6, encodeSockaddr } from '../../../src/sys/sockaddr.ts';
import { closeFd, SOCK_CLOEXEC, SOCK_STREAM, SOL_SOCKET } from '../../../src/sys/socket.ts';
import { answers } from '../../probe.ts';
import { LOCALHOST, type TargetAddress } from './values.ts';

/** On another machine: enough for one repeated SYN. */
const FAR_TIMEOUT_MS = 3_000;
const SO_SNDTIMEO = 21;
/** Connects for the round-trip time; the shortest was delayed least by either machine. */
const CONNECTS = 5;

async function addressesOf(name: string): Promise<string[]> {
  const found = await lookup(name, { all: true, order: 'verbatim' }).catch((error: NodeJS.ErrnoException) => {
    if (name === LOCALHOST) return []; // without a resolver: 127.0.0.1
    throw new Error(`cannot resolve ${name} (${error.code})`);
  });
  const addresses = found.map(({ address }) => address);
  return name === LOCALHOST ? addresses.filter((address) => loopbackAddress(address) !== null) : addresses;
}

/** Replaces a name by its first address on which a server listens. Rejects when it has no address. */
export async function locate({ address: host, port }: TargetAddress): Promise<TargetAddress> {
  if (isIP(host) !== 0) return { address: host, port };
  const [first = LOOPBACK, ...others] = new Set(await addressesOf(host));
  if (others.length === 0) return { address: first, port };
  for (const address of [first, ...others]) {
    const timeoutMs = isFar(address) ? FAR_TIMEOUT_MS : undefined;
    if (await answers(port, address, timeoutMs)) return { address, port };
  }
  return { address: first, port }; // the run reports it as refused
}

export function isFar(address: string): boolean {
  return loopbackAddress(address) === null;
}

/** Milliseconds of a blocking connect(2), whose handshake is one round trip; null when it failed. */
function connectMs({ address, port }: TargetAddress): number | null {
  const family = address.includes(':') ? AF_INET6 : AF_INET;
  const fd = check('socket', libc.socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), 'measuring the round trip');
  try {
    const limit = new BigInt64Array([BigInt(FAR_TIMEOUT_MS / 1000), 0n]);
    libc.setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, limit, limit.byteLength); // bounds connect(2), too: socket(7)
    const target = encodeSockaddr(address, port);
    const beganMs = performance.now();
    return libc.connect(fd, target, target.length) === 0 ? performance.now() - beganMs : null;
  } finally {
    closeFd(fd);
  }
}

/** The round-trip time to the target, before any load: the shortest of a few connects. Null when none succeeded. */
export function roundTripMs(target: TargetAddress): number | null {
  let shortest: number | null = null;
  for (let i = 0; i < CONNECTS; i++) {
    const ms = connectMs(target);
    if (ms === null) return shortest;
    shortest = Math.min(shortest ?? ms, ms);
  }
  return shortest;
}
