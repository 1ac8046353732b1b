/**
 * struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)) as bytes, and back.
 *
 * Pure but for inet_pton(3), which parses the text of an address.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { endianness } from 'node:os';
import { libc } from './libc.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
/** Enough for either family. */
export const SOCKADDR_BYTES = 28;

const LITTLE = endianness() === 'LE';

export interface SocketAddress {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
}

/**
 * The bytes of an IPv4 or IPv6 address. `scopeId` is the interface index that a link-local address needs.
 * Throws TypeError when `address` is neither.
 */
export function encodeSockaddr(address: string, port: number, scopeId = 0): Uint8Array {
  if (isIPv4(address)) {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, AF_INET, LITTLE);
    view.setUint16(2, port);
    libc.inet_pton(AF_INET, address, bytes.subarray(4, 8));
    return bytes;
  }
  const plain = address.replace(/%.*$/, '');
  if (!isIPv6(plain)) throw new TypeError(`not an IP address: ${address}`);
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET6, LITTLE);
  view.setUint16(2, port);
  libc.inet_pton(AF_INET6, plain, bytes.subarray(8, 24));
  view.setUint32(24, scopeId, LITTLE);
  return bytes;
}

export function decodeSockaddr(bytes: Uint8Array): SocketAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const port = view.getUint16(2);
  if (view.getUint16(0, LITTLE) === AF_INET) {
    return { address: bytes.subarray(4, 8).join('.'), family: 'IPv4', port };
  }
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(8 + 2 * i));
  return { address: compressIPv6(groups), family: 'IPv6', port };
}

/** RFC 5952: lower case, no leading zeros, the longest run of two or more zero groups as "::". */
function compressIPv6(groups: number[]): string {
  if (groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff) {
    const [a = 0, b = 0] = groups.slice(6);
    return `::ffff:${a >> 8}.${a & 255}.${b >> 8}.${b & 255}`;
  }
  let best = { start: -1, length: 1 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const hex = groups.map((g) => g.toString(16));
  if (best.start < 0) return hex.join(':');
  return `${hex.slice(0, best.start).join(':')}::${hex.slice(best.start + best.length).join(':')}`;
}
