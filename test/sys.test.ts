/**
 * Goal: addresses survive a round trip through struct sockaddr, spills keep bytes and free their buffers, and the
 * list of finished connections loses none.
 * Method: round trips and models on plain memory; the oracle for IPv6 text is Node's formatting.
 */

import { SocketAddress } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import {
  Bell,
  packOutcome,
  pushDone,
  RESTING,
  RUNG,
  ring,
  SLEEPING,
  takeDone,
} from '../src/memory/completions.ts';
import { BELL, BUFFER_BYTES, CloseReason, SharedState, SPILL, SPILLS_USED } from '../src/memory/layout.ts';
import {
  consumeSpill,
  dropSpill,
  hasSpill,
  keepSpill,
  spillHolders,
  spillRest,
} from '../src/memory/spill.ts';
import { parseService } from '../src/options/service-spec.ts';
import { victims } from '../src/server/spill-eviction.ts';
import { E, errnoName, errnoNumber, SysError } from '../src/sys/errno.ts';
import { decodeSockaddr, encodeSockaddr } from '../src/sys/sockaddr.ts';
import { interrupt } from './support/interleave.ts';
import { until, within } from './support/wait.ts';

describe('sockaddr', () => {
  it('keeps IPv4 addresses', () => {
    fc.assert(
      fc.property(fc.ipV4(), fc.nat(65535), (address, port) => {
        expect(decodeSockaddr(encodeSockaddr(address, port))).toEqual({ address, family: 'IPv4', port });
      }),
    );
  });

  it('keeps IPv6 addresses, formatted as by Node', () => {
    fc.assert(
      fc.property(fc.ipV6(), fc.nat(65535), (text, port) => {
        const { address } = new SocketAddress({ address: text, family: 'ipv6' });
        expect(decodeSockaddr(encodeSockaddr(text, port)).address).toBe(address);
      }),
    );
  });

  it('refuses what is not an address', () => {
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

  it('keep the rest until it is sent, and refuse when all buffers are in use', () => {
    const rest = Uint8Array.from({ length: BUFFER_BYTES }, (_, i) => i % 251);
    expect(keepSpill(shared, 5, rest, 0)).toBe(true);
    expect(keepSpill(shared, 7, rest.subarray(0, 1), 0)).toBe(true);
    expect(keepSpill(shared, 9, rest, 0)).toBe(false);
    expect(hasSpill(shared, 9)).toBe(false);
    expect(Buffer.from(spillRest(shared, 5)).equals(Buffer.from(rest))).toBe(true);
    expect(consumeSpill(shared, 5, 1000)).toBe(false);
    expect(Buffer.from(spillRest(shared, 5)).equals(Buffer.from(rest.subarray(1000)))).toBe(true);
    expect(consumeSpill(shared, 5, BUFFER_BYTES - 1000)).toBe(true);
    expect(hasSpill(shared, 5)).toBe(false);
    expect(keepSpill(shared, 9, rest.subarray(5), 0)).toBe(true);
    for (const fd of [5, 7, 9]) dropSpill(shared, fd);
    expect(Atomics.load(shared.words, SPILLS_USED)).toBe(0);
  });

  it('have one owner each, also when other threads interrupt the taking or freeing of a buffer', () => {
    const scenario = () => {
      const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 4 });
      const byte = new Uint8Array(1);
      for (const fd of [5, 6]) keepSpill(shared, fd, byte, 0);
      // Two buffers leave the list, and the first comes back: the ABA problem.
      const others = () => {
        for (const fd of [7, 8]) keepSpill(shared, fd, byte, 0);
        dropSpill(shared, 7);
      };
      const check = () => {
        const numbers = spillHolders(shared).map(({ fd }) => shared.conns[shared.connWord(fd, SPILL)]);
        expect(new Set(numbers).size).toBe(numbers.length);
        expect(Atomics.load(shared.words, SPILLS_USED)).toBe(numbers.length);
        let free = 0;
        while (keepSpill(shared, 20 + free, byte, 0)) free++;
        expect(free).toBe(4 - numbers.length);
      };
      return { shared, others, byte, check };
    };
    interrupt(() => {
      const { shared, others, byte, check } = scenario();
      return { run: () => keepSpill(shared, 9, byte, 0), other: others, check };
    });
    interrupt(() => {
      const { shared, others, check } = scenario();
      return { run: () => dropSpill(shared, 5), other: others, check };
    });
  });

  it('are evicted from the address that holds most, oldest first', () => {
    const at = (fd: number, sinceMs: number) => ({ fd, sinceMs });
    const holders = [at(1, 50), at(2, 40), at(3, 30), at(4, 20), at(5, 10)];
    const groupOf = (fd: number) => (fd <= 2 ? 'two' : 'three');
    expect(victims(holders, groupOf, 1)).toEqual([5]);
    expect(victims(holders, groupOf, 3)).toEqual([5, 2, 4]);
    expect(victims(holders, groupOf, 9)).toHaveLength(5);
    expect(victims(holders, groupOf, 0)).toEqual([]);
  });
});

describe('the bell', () => {
  it('leaves time for other work when it is rung all the time', async () => {
    const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 0 });
    let looks = 0;
    const bell = new Bell(shared, () => {
      looks++;
      ring(shared);
    });
    onTestFinished(() => bell.close());
    await until(() => looks > 20, 'looks between turns of the event loop');
  });

  it.each([
    { services: [], restMs: 5 },
    { services: [parseService('sleep:1ms')], restMs: 1 },
  ])('looks once in $restMs ms while it is rung often', async ({ services, restMs }) => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'], now: 0 });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 0, services });
    let looks = 0;
    const bell = new Bell(shared, () => {
      looks++;
    });
    onTestFinished(() => bell.close());
    const rung = async () => {
      const before = looks;
      ring(shared);
      while (looks === before) await new Promise((resolve) => setImmediate(resolve));
      return Atomics.load(shared.words, BELL);
    };
    vi.advanceTimersByTime(100);
    expect(await rung()).toBe(SLEEPING);
    expect(await rung()).toBe(RESTING);
    const before = looks;
    for (let rests = 1; rests <= 3; rests++) {
      ring(shared);
      vi.advanceTimersByTime(restMs - 1);
      expect([looks, Atomics.load(shared.words, BELL)]).toEqual([before + rests - 1, RUNG]);
      vi.advanceTimersByTime(1);
      expect([looks, Atomics.load(shared.words, BELL)]).toEqual([before + rests, RESTING]);
    }
    vi.advanceTimersByTime(restMs);
    expect(Atomics.load(shared.words, BELL)).toBe(SLEEPING);
    expect(await rung()).toBe(RESTING);
  });

  it('misses no ring at the end of a rest, whichever comes first', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'], now: 0 });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const undone: (() => boolean)[] = [];
    const resting = () => {
      const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 0 });
      let [looks, hasWork] = [0, false];
      const bell = new Bell(shared, () => {
        hasWork = false;
        if (looks++ === 0) ring(shared);
      });
      onTestFinished(() => bell.close());
      vi.advanceTimersByTime(5);
      expect(Atomics.load(shared.words, BELL)).toBe(RESTING);
      undone.push(() => hasWork);
      const work = () => {
        hasWork = true;
        ring(shared);
      };
      return { work, endRest: () => vi.advanceTimersByTime(5), check: () => {} };
    };
    interrupt(() => {
      const { work, endRest, check } = resting();
      return { run: endRest, other: work, check };
    });
    interrupt(() => {
      const { work, endRest, check } = resting();
      return { run: work, other: endRest, check };
    });
    expect(undone.length).toBeGreaterThan(5);
    while (undone.some((isUndone) => isUndone())) {
      await new Promise((resolve) => setImmediate(resolve));
      vi.advanceTimersByTime(5);
    }
  });

  it('still rings after work that threw', async () => {
    const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 0 });
    let [looks, fails] = [0, false];
    const bell = new Bell(shared, () => {
      looks++;
      if (!fails) return;
      fails = false;
      throw new Error('made to fail');
    });
    const before = process.listeners('unhandledRejection');
    process.removeAllListeners('unhandledRejection');
    const thrown = new Promise<unknown>((resolve) => process.once('unhandledRejection', resolve));
    onTestFinished(() => {
      bell.close();
      for (const listener of before) process.on('unhandledRejection', listener);
    });
    fails = true;
    ring(shared);
    expect(await within(thrown, 'the error')).toMatchObject({ message: 'made to fail' });
    const soFar = looks;
    await until(() => {
      ring(shared);
      return looks > soFar + 1; // the look before it sleeps, and one after a ring
    }, 'another ring');
  });
});

describe('finished connections', () => {
  it('are all handled, although one fails', () => {
    const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 0 });
    for (const fd of [5, 6, 7]) pushDone(shared, fd, CloseReason.Eof);
    const seen: number[] = [];
    const done = (fd: number) => {
      seen.push(fd);
      if (fd !== 7) throw new Error(`of ${fd}`);
    };
    expect(() => takeDone(shared, done)).toThrow('of 5');
    expect(seen).toEqual([5, 6, 7]);
  });

  it('are returned once each, in order, with their reasons', () => {
    const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 64, spills: 0 });
    const seen: unknown[] = [];
    const take = () => takeDone(shared, (...done) => seen.push(done));
    expect(take()).toBe(0);
    pushDone(shared, 5, CloseReason.Eof);
    pushDone(shared, 60, packOutcome(CloseReason.Error, 104));
    expect(take()).toBe(2);
    pushDone(shared, 5, CloseReason.Cut); // the descriptor has been reused
    expect(take()).toBe(1);
    expect(take()).toBe(0);
    expect(seen).toEqual([
      [5, CloseReason.Eof, 0],
      [60, CloseReason.Error, 104],
      [5, CloseReason.Cut, 0],
    ]);
  });
});
