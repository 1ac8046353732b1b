/**
 * How many connections each address has, and whether it may have one more.
 *
 * Main thread only. An IPv6 address counts with all others of its prefix: a host may take any of the addresses of its
 * link's /64 (RFC 7934), so a limit on each address would not limit hosts. An IPv4 address that came over an IPv6 socket counts as
 * what it is (RFC 4291, 2.5.5.2).
 */
import { addressBytes } from '../sys/sockaddr.ts';

const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

export class PerAddress {
  private readonly max: number;
  private readonly ipv6PrefixLength: number;
  private readonly counts = new Map<string, number>();
  private readonly keyByFd = new Map<number, string>();

  /** `max` connections of each IPv4 address and IPv6 prefix, 0 = any number, and nothing is counted. */
  constructor(max: number, ipv6PrefixLength: number) {
    this.max = max;
    this.ipv6PrefixLength = ipv6PrefixLength;
  }

  get isOn(): boolean {
    return this.max > 0;
  }

  /** Counts the connection in, unless its address has its share already. */
  admit(fd: number, address: string): boolean {
    const key = addressKey(address, this.ipv6PrefixLength);
    const count = this.counts.get(key) ?? 0;
    if (count >= this.max) return false;
    this.counts.set(key, count + 1);
    this.keyByFd.set(fd, key);
    return true;
  }

  /** The connection has ended. Nothing happens when it was not counted. */
  release(fd: number): void {
    const key = this.keyByFd.get(fd);
    if (key === undefined) return;
    this.keyByFd.delete(fd);
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
