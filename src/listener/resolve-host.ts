/**
 * The address of the host that an operator has named: a host name, or an IPv6 address with a zone.
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { networkInterfaces } from 'node:os';

/** The address, and the interface index of a link-local one. Rejects with the resolver's error. */
export async function resolveHost(host: string): Promise<{ address: string; scopeId: number }> {
  const [plain = host, zone] = host.split('%');
  if (isIP(plain) !== 0) return { address: plain, scopeId: zone === undefined ? 0 : scopeOf(zone) };
  const { address } = await lookup(host);
  return { address, scopeId: 0 };
}

function scopeOf(zone: string): number {
  if (/^\d+$/.test(zone)) return Number(zone);
  const addresses = networkInterfaces()[zone] ?? [];
  return addresses.find((a) => a.family === 'IPv6')?.scopeid ?? 0;
}
