/**
 * Goal: addresses survive their way through struct sockaddr, spills keep bytes and give buffers back, and the
 * list of finished connections loses none.
 * Method: round trips and models on plain memory; the oracle for IPv6 text is Node's own formatting.
 */

import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pushDone, takeDone } from '../src/shared/completions.ts';
import { BUFFER_BYTES, CloseReason, SharedState, SPILLS_USED } from '../src/shared/layout.ts';
import { consumeSpill, dropSpill, hasSpill, keepSpill, spillRest } from '../src/shared/spill.ts';
import { E, errnoName, errnoNumber, SysError } from '../src/sys/errno.ts';
import { decodeSockaddr, encodeSockaddr } from '../src/sys/sockaddr.ts';

describe('sockaddr', () => {
  it('keeps IPv4 addresses', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.nat(65535), (address, port) => {
        expect(decodeSockaddr(encodeSockaddr(address, port))).toEqual({ address, family: 'IPv4', port });
      }),
    );
  });

  it('keeps IPv6 addresses, written as Node writes them', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.nat(65535), (text, port) => {
        const { address } = new SocketAddress({ address: text, family: 'ipv6' });
        expect(decodeSockaddr(encodeSockaddr(text, port)).address).toBe(address);
      }),
    );
  });

  it('refuses what is no address', () => {
    expect(() => encodeSockaddr('localhost', 1)).toThrow(TypeError);
  });

  it('names errors', () => {
    const error = new SysError('bind', 98, 'listening');
    expect(error.message).toBe('listening: bind: EADDRINUSE');
    expect([11, 95, 104, 112].map(errnoName)).toEqual(['EAGAIN', 'ENOTSUP', 'ECONNRESET', 'EHOSTDOWN']);
    expect(errnoName(4095)).toBe('errno 4095'); // EOF in libuv's table
    expect(['EHOSTDOWN', 'ENONET', 'EWHATEVER'].map(errnoNumber)).toEqual([112, 64, -1]);
    expect(Object.values(E)).not.toContain(-1);
  });
});

describe('spills', () => {
  const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 2 });

  it('keep the rest until it is sent, and refuse when all are taken', () => {
    const rest = Uint8Array.from({ length: BUFFER_BYTES }, (_, i) => i % 251);
    expect(keepSpill(shared, 5, rest)).toBe(true);
    expect(keepSpill(shared, 7, rest.subarray(0, 1))).toBe(true);
    expect(keepSpill(shared, 9, rest)).toBe(false);
    expect(hasSpill(shared, 9)).toBe(false);
    expect(Buffer.from(spillRest(shared, 5)).equals(Buffer.from(rest))).toBe(true);
    expect(consumeSpill(shared, 5, 1000)).toBe(false);
    expect(Buffer.from(spillRest(shared, 5)).equals(Buffer.from(rest.subarray(1000)))).toBe(true);
    expect(consumeSpill(shared, 5, BUFFER_BYTES - 1000)).toBe(true);
    expect(hasSpill(shared, 5)).toBe(false);
    expect(keepSpill(shared, 9, rest.subarray(5))).toBe(true);
    for (const fd of [5, 7, 9]) dropSpill(shared, fd);
    expect(Atomics.load(shared.words, SPILLS_USED)).toBe(0);
  });
});

describe('finished connections', () => {
  it('come back once each, in order, with their reasons', () => {
    const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 0 });
    const seen: unknown[] = [];
    const take = () => takeDone(shared, (...done) => seen.push(done));
    expect(take()).toBe(0);
    pushDone(shared, 5, CloseReason.Eof, 0);
    pushDone(shared, 60, CloseReason.Error, 104);
    expect(take()).toBe(2);
    pushDone(shared, 5, CloseReason.Cut, 0); // the number is in use again
    expect(take()).toBe(1);
    expect(take()).toBe(0);
    expect(seen).toEqual([
      [5, CloseReason.Eof, 0],
      [60, CloseReason.Error, 104],
      [5, CloseReason.Cut, 0],
    ]);
  });
});
