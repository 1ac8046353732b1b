/**
 * Whether the echo service and the admin endpoint would want the same address and port: asked before either listens,
 * since the kernel tells only the later one that it is taken, and not by whom.
 *
 * Main thread only. A name is looked up, and only when the ports are the same. What cannot be looked up does not clash:
 * listening fails for it, and says why.
 */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { parseAdminAddress } from '../options/admin-address.ts';
import { type EffectiveOptions, type NameOf, specOf, UsageError, type WrittenOf } from '../options/index.ts';

const ANY_IPV4 = '0.0.0.0';
/** IPv4 as well, unless net.ipv6.bindv6only is set. */
const ANY = '::';

async function addressOf(host: string): Promise<string | null> {
  if (isIP(host) !== 0) return host;
  try {
    return (await lookup(host)).address;
  } catch {
    return null;
  }
}

function isSame(one: string, other: string): boolean {
  if (one === other) return true;
  if (one.includes('%') || other.includes('%')) return false; // of two interfaces
  const family = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');
  const list = new BlockList(); // knows that ::1 is 0:0::1
  list.addAddress(one, family(one));
  return list.check(other, family(other));
}

/** Whether two sockets with one port cannot listen on these addresses at a time. */
export function overlap(one: string, other: string): boolean {
  if (isSame(one, ANY) || isSame(other, ANY)) return true; // 0:0::0 is :: too
  if (one === ANY_IPV4) return isIP(other) === 4;
  return other === ANY_IPV4 ? isIP(one) === 4 : isSame(one, other);
}

/** Throws UsageError when `admin` and `host` with `port` cannot both be had. Port 0 clashes with none. */
export async function refuseClash(
  options: Pick<EffectiveOptions, 'host' | 'port' | 'admin'>,
  nameOf: NameOf,
  writtenOf: WrittenOf,
): Promise<void> {
  const { host, port, admin } = options;
  const wanted = admin === undefined ? null : parseAdminAddress(admin);
  if (wanted?.kind !== 'tcp' || port === 0 || wanted.port !== port) return;
  const [echo, figures] = await Promise.all([addressOf(host), addressOf(wanted.host)]);
  if (echo === null || figures === null || !overlap(echo, figures)) return;
  const spec = specOf('admin');
  const taken = `${host} port ${port} (${nameOf(specOf('port'))})`;
  const allowed = `another port than that of the echo service, ${taken}, or 0 for any free one`;
  throw new UsageError(nameOf(spec), writtenOf(spec), allowed);
}
