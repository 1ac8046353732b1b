/**
 * Local addresses to connect from when one address would run out of ports.
 *
 * A closed connection keeps its port for a minute (TIME_WAIT). From one source address, after some 14,000 connections
 * the half of the port range that Linux prefers is used up, and each connect() searches it in vain: 4 to 5 ms per
 * call, which looked like a slow server. All of 127.0.0.0/8 is this machine, so connections rotate over as many
 * source addresses as they need.
 */
import { check, libc } from '../../src/sys/libc.ts';
import { encodeSockaddr } from '../../src/sys/sockaddr.ts';

const IPPROTO_IP = 0;
// connect() chooses the port then, and may take one in use towards another target (ip(7)).
const IP_BIND_ADDRESS_NO_PORT = 24;

/** Well below the 14,000 at which the search starts. */
export const PORTS_PER_SOURCE = 4_000;
export const SOURCES_MAX = 250;

const yes = new Int32Array([1]);

export class Sources {
  private readonly addresses: readonly Uint8Array[];
  private turn = 0;

  /** Chooses addresses for that many connections; none for few of them, for IPv6 or for targets on other machines. */
  constructor(target: string, connections: number) {
    const count = !target.startsWith('127.') ? 1 : Math.ceil(connections / PORTS_PER_SOURCE);
    this.addresses =
      count <= 1 ? [] : Array.from({ length: count }, (_, i) => encodeSockaddr(`127.0.0.${i + 1}`, 0));
  }

  /** Gives an unconnected socket the next source address. */
  bind(fd: number): void {
    const address = this.addresses[this.turn];
    if (address === undefined) return;
    this.turn = (this.turn + 1) % this.addresses.length;
    libc.setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, yes, 4);
    check('bind', libc.bind(fd, address, address.length), 'choosing a source address');
  }
}
