/**
 * Ends connections that hold spill buffers when more are in use than the limit allows.
 *
 * Main thread only; owns nothing. The victim is not the connection that needs a buffer now, which may read faster than
 * any other: it is the one that has held its buffer for longest, that is with the least progress, among those of the
 * address that holds most. Peers from other addresses cannot lose theirs to it.
 */

import type { SharedState } from '../memory/layout.ts';
import { excessSpills, hasSpill, type SpillHolder, spillHolders } from '../memory/spill.ts';
import { peerAddress, resetOrShutDown } from '../sys/connection.ts';
import type { Connections } from './connections.ts';
import { addressKey } from './per-address.ts';

export class SpillEviction {
  private readonly shared: SharedState;
  private readonly connections: Connections;
  private readonly ipv6PrefixLength: number;

  /** IPv6 addresses of one prefix count as one address. */
  constructor(shared: SharedState, connections: Connections, ipv6PrefixLength: number) {
    this.shared = shared;
    this.connections = connections;
    this.ipv6PrefixLength = ipv6PrefixLength;
  }

  /** Ends as many as there are buffers in use beyond the limit, less those that are ending already. */
  look(): void {
    const excess = excessSpills(this.shared);
    if (excess === 0) return;
    const holders = spillHolders(this.shared);
    const staying = holders.filter(({ fd }) => (this.connections.get(fd)?.closeName ?? null) === null);
    const ending = holders.length - staying.length;
    for (const fd of victims(staying, (fd) => this.addressOf(fd), excess - ending)) {
      const connection = this.connections.get(fd);
      if (connection === undefined || !hasSpill(this.shared, fd)) continue; // it has read meanwhile
      connection.closeName = 'spillLimit';
      resetOrShutDown(fd); // its worker sees that, hands it back, and its buffer is free
    }
  }

  private addressOf(fd: number): string {
    const peer = peerAddress(fd);
    return peer === null ? '' : addressKey(peer.address, this.ipv6PrefixLength);
  }
}

/** The descriptors of `count` victims, in turn; pure. */
export function victims(
  holders: readonly SpillHolder[],
  groupOf: (fd: number) => string,
  count: number,
): number[] {
  const groups = Map.groupBy(
    holders.toSorted((a, b) => b.sinceMs - a.sinceMs),
    ({ fd }) => groupOf(fd),
  );
  const fds: number[] = [];
  while (fds.length < count) {
    const [largest] = [...groups.values()].sort((a, b) => b.length - a.length);
    const victim = largest?.pop(); // the one that has held its buffer for longest
    if (victim === undefined) break;
    fds.push(victim.fd);
  }
  return fds;
}
