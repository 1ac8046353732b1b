/**
 * The number of connections of each address, and whether it may have another.
 *
 * Main thread only. IPv6 addresses are counted per prefix: a host may use any address of its link's /64 (RFC 7934), so
 * a limit per address would not limit hosts. An IPv4-mapped address counts as its IPv4 address (RFC 4291, 2.5.5.2).
 */
import { addressBytes, decodeSockaddr } from '../sys/sockaddr.ts';

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

export class PerAddress {
  private readonly max: number;
  private readonly ipv6PrefixLength: number;
  private readonly counts = new Map<string, number>();

  /** `max` connections per IPv4 address or IPv6 prefix; 0 = no limit, and nothing is counted. */
  constructor(max: number, ipv6PrefixLength: number) {
    this.max = max;
    this.ipv6PrefixLength = ipv6PrefixLength;
  }

  /** The key for a connection from this sockaddr; empty when nothing is counted. */
  keyOf(peer: Uint8Array): string {
    return this.max === 0 ? '' : addressKey(decodeSockaddr(peer).address, this.ipv6PrefixLength);
  }

  hasRoom(key: string): boolean {
    return this.max === 0 || (this.counts.get(key) ?? 0) < this.max;
  }

  /** Counts an admitted connection. */
  add(key: string): void {
    if (this.max > 0) this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  /** Uncounts an ended connection. */
  remove(key: string): void {
    if (this.max === 0) return;
    const count = (this.counts.get(key) ?? 1) - 1;
    if (count === 0) this.counts.delete(key);
    else this.counts.set(key, count);
  }

  /** Addresses and prefixes that have a connection. */
  get size(): number {
    return this.counts.size;
  }
}

/** The key under which the connections of an address are counted. */
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
