/**
 * Refuses an admin endpoint on the address and port of the echo service. Checked before either listens: bind(2) would
 * only report EADDRINUSE to the second one, without the reason.
 *
 * Main thread only. Host names are resolved, but only if the ports are equal. A name that cannot be resolved does not
 * clash; listening on it will fail with the reason.
 */
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { parseAdminAddress } from '../options/admin-address.ts';
import { type EffectiveOptions, type NameOf, specOf, UsageError, type WrittenOf } from '../options/index.ts';

const ANY_IPV4 = '0.0.0.0';
/** Includes IPv4, unless net.ipv6.bindv6only is set. */
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
  if (one.includes('%') || other.includes('%')) return false; // zones of different interfaces
  const family = (address: string) => (isIP(address) === 6 ? 'ipv6' : 'ipv4');
  const list = new BlockList(); // compares values: ::1 equals 0:0::1
  list.addAddress(one, family(one));
  return list.check(other, family(other));
}

/** Whether two sockets cannot listen on these addresses at the same time, given the same port. */
export function overlap(one: string, other: string): boolean {
  if (isSame(one, ANY) || isSame(other, ANY)) return true; // 0:0::0 is :: too
  if (one === ANY_IPV4) return isIP(other) === 4;
  return other === ANY_IPV4 ? isIP(one) === 4 : isSame(one, other);
}

/** Throws UsageError if `admin` and `host` with `port` exclude each other. Port 0 never clashes. */
export async function refuseClash(
  options: Pick<EffectiveOptions, 'host' | 'port' | 'admin'>,
  nameOf: NameOf,
  writtenOf: WrittenOf,
): Promise<void> {
  const { host, port, admin } = options;
  const adminAddress = admin === undefined ? null : parseAdminAddress(admin);
  if (adminAddress?.kind !== 'tcp' || port === 0 || adminAddress.port !== port) return;
  const [echoIp, adminIp] = await Promise.all([addressOf(host), addressOf(adminAddress.host)]);
  if (echoIp === null || adminIp === null || !overlap(echoIp, adminIp)) return;
  const spec = specOf('admin');
  const echoAddress = `${host} port ${port} (${nameOf(specOf('port'))})`;
  const allowed = `a port other than that of the echo service, ${echoAddress}, or 0 for any free one`;
  throw new UsageError(nameOf(spec), writtenOf(spec), allowed);
}
