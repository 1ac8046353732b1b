/**
 * Which of the addresses of localhost is meant: the server may have any of them, and hosts(5) may name ::1 first.
 */
import { lookup } from 'node:dns/promises';
import { loopbackAddress } from '../../../src/sys/loopback.ts';
import { answers } from '../../probe.ts';
import { LOCALHOST, type TargetAddress } from './values.ts';

/** The target by its address: of a name the first one on which a server listens, as any client has it. */
export async function located({ address, port }: TargetAddress): Promise<TargetAddress> {
  if (address !== LOCALHOST) return { address, port };
  const found = await lookup(LOCALHOST, { all: true }).catch(() => []); // without a resolver it still is loopback
  const own = found.map((one) => loopbackAddress(one.address)).filter((one) => one !== null);
  const [first = '127.0.0.1', ...others] = new Set(own);
  if (others.length === 0 || (await answers(port, first))) return { address: first, port };
  for (const other of others) if (await answers(port, other)) return { address: other, port };
  return { address: first, port }; // it will be refused
}
