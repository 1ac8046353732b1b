/**
 * How many connections each address has, and whether it may have one more.
 *
 * Main thread only. An IPv6 address counts with all others of its prefix: a host may take any of the addresses of its
 * link's /64 (RFC 7934), so a limit on each address would not limit hosts. An IPv4 address that came over an IPv6 socket counts as
 * what it is (RFC 4291, 2.5.5.2).
 */
import { addressBytes, decodeSockaddr } from '../sys/sockaddr.ts';

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

export class PerAddress {
  private readonly max: number;
  private readonly ipv6PrefixLength: number;
  private readonly counts = new Map<string, number>();

  /** `max` connections of each IPv4 address and IPv6 prefix, 0 = any number, and nothing is counted. */
  constructor(max: number, ipv6PrefixLength: number) {
    this.max = max;
    this.ipv6PrefixLength = ipv6PrefixLength;
  }

  /** What a connection from this sockaddr counts under; empty when nothing is counted. */
  keyOf(peer: Uint8Array): string {
    return this.max === 0 ? '' : addressKey(decodeSockaddr(peer).address, this.ipv6PrefixLength);
  }

  hasRoom(key: string): boolean {
    return this.max === 0 || (this.counts.get(key) ?? 0) < this.max;
  }

  /** A connection has been admitted. */
  add(key: string): void {
    if (this.max > 0) this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  /** It has ended. */
  remove(key: string): void {
    const count = (this.counts.get(key) ?? 1) - 1;
    if (count === 0) this.counts.delete(key);
    else this.counts.set(key, count);
  }

  /** Addresses and prefixes that have a connection. */
  get size(): number {
    return this.counts.size;
  }
}

/** What the connections of an address are counted under. */
export function addressKey(address: string, ipv6PrefixLength: number): string {
  const bytes = addressBytes(address);
  if (bytes.length === 4) return bytes.join('.');
  if (MAPPED.every((byte, i) => bytes[i] === byte)) return bytes.subarray(MAPPED.length).join('.');
  const prefix = bytes.map((byte, i) => {
    const hostBits = Math.min(8, Math.max(0, (i + 1) * 8 - ipv6PrefixLength));
    return byte & (0xff << hostBits);
  });
  return Buffer.from(prefix).toString('hex');
}
