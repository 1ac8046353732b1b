/**
 * Encodes and decodes struct sockaddr_in and sockaddr_in6 (ip(7), ipv6(7)).
 *
 * Pure except for inet_pton(3) and inet_ntop(3), which parse and format addresses.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { endianness } from 'node:os';
import { libc } from './libc.ts';

export const AF_INET = 2;
export const AF_INET6 = 10;
/** Enough for either family. */
export const SOCKADDR_BYTES = 28;

const INET6_ADDRSTRLEN = 46;
const LITTLE_ENDIAN = endianness() === 'LE';

export interface SocketAddress {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
}

/**
 * The sockaddr of an IPv4 or IPv6 address. `scopeId` is the interface index that a link-local address needs.
 * Throws TypeError when `address` is neither.
 */
export function encodeSockaddr(address: string, port: number, scopeId = 0): Uint8Array {
  if (isIPv4(address)) {
    const bytes = new Uint8Array(16);
    const view = new DataView(bytes.buffer);
    view.setUint16(0, AF_INET, LITTLE_ENDIAN);
    view.setUint16(2, port);
    libc.inet_pton(AF_INET, address, bytes.subarray(4, 8));
    return bytes;
  }
  const plain = address.replace(/%.*$/, '');
  if (!isIPv6(plain)) throw new TypeError(`not an IP address: ${address}`);
  const bytes = new Uint8Array(SOCKADDR_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET6, LITTLE_ENDIAN);
  view.setUint16(2, port);
  libc.inet_pton(AF_INET6, plain, bytes.subarray(8, 24));
  view.setUint32(24, scopeId, LITTLE_ENDIAN);
  return bytes;
}

/** The 4 or 16 bytes of an IPv4 or IPv6 address, in any notation. Throws TypeError when it is neither. */
export function addressBytes(address: string): Uint8Array {
  const bytes = encodeSockaddr(address, 0);
  return bytes.length === SOCKADDR_BYTES ? bytes.subarray(8, 24) : bytes.subarray(4, 8);
}

export function decodeSockaddr(bytes: Uint8Array): SocketAddress {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const port = view.getUint16(2);
  if (view.getUint16(0, LITTLE_ENDIAN) === AF_INET) {
    return { address: bytes.subarray(4, 8).join('.'), family: 'IPv4', port };
  }
  const text = Buffer.alloc(INET6_ADDRSTRLEN);
  libc.inet_ntop(AF_INET6, bytes.subarray(8, 24), text, text.length);
  return { address: text.toString('latin1', 0, text.indexOf(0)), family: 'IPv6', port };
}
