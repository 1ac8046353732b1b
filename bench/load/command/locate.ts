/**
 * Resolves localhost: the server may listen on any of its addresses, and hosts(5) may list ::1 first.
 */
import { lookup } from 'node:dns/promises';
import { loopbackAddress } from '../../../src/sys/loopback.ts';
import { answers } from '../../probe.ts';
import { LOCALHOST, type TargetAddress } from './values.ts';

/** Replaces LOCALHOST by its first address on which a server listens, as other clients do. */
export async function resolveLocalhost({ address, port }: TargetAddress): Promise<TargetAddress> {
  if (address !== LOCALHOST) return { address, port };
  const found = await lookup(LOCALHOST, { all: true }).catch(() => []); // without a resolver: 127.0.0.1
  const own = found.map((one) => loopbackAddress(one.address)).filter((one) => one !== null);
  const [first = '127.0.0.1', ...others] = new Set(own);
  if (others.length === 0 || (await answers(port, first))) return { address: first, port };
  for (const other of others) if (await answers(port, other)) return { address: other, port };
  return { address: first, port }; // the run reports it as refused
}
