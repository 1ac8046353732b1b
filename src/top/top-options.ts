/**
 * The options of `kecho-pool top`. Pure.
 */
import { ADMIN_ADDRESS_ALLOWED, type AdminAddress, parseAdminAddress } from '../options/admin-address.ts';
import { UsageError } from '../options/values.ts';

export const ADDRESS_VARIABLE = 'KECHO_POOL_ADMIN';
const SOURCE = 'admin address';

export interface TopOptions {
  address: AdminAddress;
  /** The address as given, for messages. */
  addressText: string;
  intervalMs: number;
  once: boolean;
  json: boolean;
}

/** The given address, or else the environment variable's. Throws UsageError. */
export function addressOf(
  given: string | undefined,
  variable: string | undefined,
): Pick<TopOptions, 'address' | 'addressText'> {
  // Accepts a URL, as the server logs it.
  const text = (given ?? variable ?? '').replace(/^http:\/\/(.*?)\/?$/, '$1');
  if (text === '') {
    const allowed = `an address like 127.0.0.1:9090, a path, or the variable ${ADDRESS_VARIABLE}`;
    throw new UsageError(SOURCE, undefined, allowed, 'no admin address is given');
  }
  const source = given === undefined ? ADDRESS_VARIABLE : SOURCE;
  const address = parseAdminAddress(text);
  if (address === null) throw new UsageError(source, text, ADMIN_ADDRESS_ALLOWED);
  if (address.kind === 'unix') return { address, addressText: address.path };
  if (address.port === 0) throw new UsageError(source, text, 'the port that the server logged');
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return { address, addressText: `${host}:${address.port}` };
}
