/**
 * Loopback addresses: 127.0.0.0/8 and ::1, in every notation that a client accepts. Pure.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** Where tools look for a server, and start one, unless told otherwise. */
export const LOOPBACK = '127.0.0.1';

/** The canonical form of a loopback address (127.1, 0:0::1, ::ffff:127.0.0.1); null for any other text. */
export function loopbackAddress(text: string): string | null {
  const plain = text.replace(/%.*$/, ''); // without the interface: there is only one loopback
  const isNumber = isIPv6(plain) || /^[\dxa-f.]+$/i.test(plain); // inet_aton(3) accepts hexadecimal numbers too
  const url = `http://${isIPv6(plain) ? `[${plain}]` : plain}`;
  if (!isNumber || !URL.canParse(url)) return null;
  const { hostname } = new URL(url); // in canonical form
  if (hostname === '[::1]') return '::1';
  if (isIPv4(hostname)) return hostname.startsWith('127.') ? hostname : null;
  const mapped = /^\[::ffff:(7f[\da-f]{2}):([\da-f]{1,4})\]$/.exec(hostname);
  if (mapped === null) return null;
  const words = mapped.slice(1).map((word) => Number.parseInt(word, 16));
  return words.flatMap((word) => [word >> 8, word & 255]).join('.');
}
