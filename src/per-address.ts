/**
 * How many connections each address has, and whether it may have one more.
 *
 * Main thread only. An IPv4 address that came over an IPv6 socket counts as what it is (RFC 4291, 2.5.5.2).
 */
export class PerAddress {
  private readonly max: number;
  private readonly counts = new Map<string, number>();
  private readonly addressByFd = new Map<number, string>();

  /** `max` connections of each address, 0 = any number, and nothing is counted. */
  constructor(max: number) {
    this.max = max;
  }

  get isOn(): boolean {
    return this.max > 0;
  }

  /** Counts the connection in, unless its address has its share already. */
  admit(fd: number, address: string): boolean {
    const plain = address.replace(/^::ffff:(?=\d+\.)/i, '');
    const count = this.counts.get(plain) ?? 0;
    if (count >= this.max) return false;
    this.counts.set(plain, count + 1);
    this.addressByFd.set(fd, plain);
    return true;
  }

  /** The connection has ended. Nothing happens when it was not counted. */
  release(fd: number): void {
    const address = this.addressByFd.get(fd);
    if (address === undefined) return;
    this.addressByFd.delete(fd);
    const count = (this.counts.get(address) ?? 1) - 1;
    if (count === 0) this.counts.delete(address);
    else this.counts.set(address, count);
  }

  /** Addresses that have a connection. */
  get size(): number {
    return this.counts.size;
  }
}
