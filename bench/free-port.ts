/**
 * A port for a program that cannot report the one it got.
 *
 * Between the choice and the program's bind(2) no socket holds the port. So it is taken from below those that the kernel
 * gives to sockets bound to port 0 and to clients (ip(7), ip_local_port_range), which start and end all the time.
 */
import { readFileSync } from 'node:fs';
import { LOOPBACK } from '../src/sys/loopback.ts';
import { closeFd, listenTcp, PLAIN } from '../src/sys/socket.ts';

/** Below it are the ports of well-known services. */
const LOWEST = 10_000;
const TRIES = 100;

/** A socket that listens on 127.0.0.1. The caller owns it. */
export function listenOn(port: number): number {
  return listenTcp({ address: LOOPBACK, port, backlog: 1024, reusePort: false, accepted: PLAIN }).fd;
}

/** A port of 127.0.0.1 that is free at the moment, chosen at random. */
export function freePort(): number {
  const range = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8');
  const highest = Math.max(Number.parseInt(range, 10) - 1, LOWEST + TRIES);
  for (let left = TRIES; ; left--) {
    const port = LOWEST + Math.floor(Math.random() * (highest - LOWEST + 1));
    try {
      closeFd(listenOn(port));
      return port;
    } catch (error) {
      if (left === 0) throw error;
    }
  }
}
