/**
 * Goal: only a connection whose peer is at fault for the lack of progress expires, whenever the checks run.
 * Method: the check itself at times that the test sets, on shared words set as workers would, and on real sockets where
 * the kernel is queried.
 */
import { closeSync, openSync } from 'node:fs';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { BOUNDS_US, elapsedUs, Latency, latencyTotals, momentUs, record } from '../src/memory/latency.ts';
import {
  CloseReason,
  CONN_BYTES_IN,
  CONN_BYTES_OUT,
  SERVING,
  SharedState,
  WORKERS_HIGH,
} from '../src/memory/layout.ts';
import { Connections } from '../src/server/connections.ts';
import { Timeouts } from '../src/server/timeouts.ts';
import { isUnanswered, stuckForMs, unacknowledgedBytes, unreadBytes } from '../src/sys/connection.ts';
import { check, libc } from '../src/sys/libc.ts';
import { encodeSockaddr } from '../src/sys/sockaddr.ts';
import {
  closeFd,
  listenTcp,
  localAddress,
  PLAIN,
  recvInto,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  sendFrom,
} from '../src/sys/socket.ts';
import { DEADLINE_MS } from './support/wait.ts';

const ACCEPTED = { ...PLAIN, keepaliveIntervalMs: 1000, keepaliveProbes: 1 };

/** Waits without a turn of the event loop for what the kernel does soon, for packets of a busy machine in a thread of its own. */
function soon(condition: () => boolean): void {
  const deadlineMs = performance.now() + DEADLINE_MS;
  while (!condition()) if (performance.now() > deadlineMs) throw new Error(`not so: ${condition}`);
}

/** Both ends of a TCP connection: the server's is non-blocking. */
function tcpPair(): { fd: number; peer: number } {
  const options = { address: '127.0.0.1', port: 0, backlog: 1, reusePort: false, accepted: ACCEPTED };
  const { fd: listening } = listenTcp(options);
  const peer = check('socket', libc.socket(2, 1, 0), 'making a peer');
  const address = encodeSockaddr('127.0.0.1', localAddress(listening).port);
  check('connect', libc.connect(peer, address, address.length), 'connecting');
  let fd = -1;
  soon(() => {
    fd = libc.accept4(listening, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return fd >= 0;
  });
  closeFd(listening);
  onTestFinished(() => closeFd(peer));
  return { fd, peer };
}

function setUp(options: { socketTimeoutMs?: number; writeTimeoutMs?: number; queues?: boolean }) {
  const shared = SharedState.create({ cpus: 1, workers: 1, fdLimit: 1024, spills: 1 });
  const connections = new Connections(shared, 0, 0);
  const { queues = false, ...given } = options;
  const timeouts = new Timeouts(
    shared,
    connections,
    { socketTimeoutMs: 0, writeTimeoutMs: 0, maxQueueAgeMs: 0, ...given },
    queues,
  );
  const { fd, peer } = tcpPair();
  const connection = connections.admit(fd, '');
  const setWord = (word: number, value: number) => {
    shared.conns[shared.connWord(fd, word)] = value;
  };
  const setDouble = (double: number, value: number) => {
    shared.connDoubles[shared.connDouble(fd, double)] = value;
  };
  /** Closes the connection; returns the reason that is counted. */
  const end = () => connections.close(connections.get(fd) ?? connection, CloseReason.Eof, 0);
  return { shared, connections, connection, timeouts, fd, peer, setWord, setDouble, end };
}

describe('a silent connection', () => {
  it('expires after the socket timeout without progress', () => {
    const { timeouts, end } = setUp({ socketTimeoutMs: 100 });
    for (const nowMs of [0, 99, 100]) timeouts.check(nowMs);
    expect(end()).toBe('socketTimeout');
  });

  it('restarts its timeout with every byte', () => {
    const { timeouts, setDouble, end } = setUp({ socketTimeoutMs: 100 });
    for (let nowMs = 0; nowMs < 1000; nowMs += 60) {
      setDouble(CONN_BYTES_IN, nowMs);
      setDouble(CONN_BYTES_OUT, nowMs);
      timeouts.check(nowMs);
      timeouts.check(nowMs + 30);
    }
    expect(end()).toBe('eof');
  });

  it('is not silent while its handler runs', () => {
    const { timeouts, setDouble, end } = setUp({ socketTimeoutMs: 100 });
    setDouble(CONN_BYTES_IN, 5);
    for (const nowMs of [0, 1000, 2000]) timeouts.check(nowMs);
    expect(end()).toBe('eof');
  });

  it('is not silent while its bytes wait for a worker', () => {
    const { timeouts, fd, peer, end } = setUp({ socketTimeoutMs: 100 });
    const byte = new Uint8Array(1);
    sendFrom(peer, byte, 1);
    soon(() => unreadBytes(fd) === 1);
    for (const nowMs of [0, 1000, 2000, 3000]) timeouts.check(nowMs);
    expect(recvInto(fd, byte, 1)).toBe(1); // not reset
    for (const nowMs of [3001, 3101]) timeouts.check(nowMs);
    expect(end()).toBe('socketTimeout');
  });

  it('is not silent while it waits for a thread', () => {
    const { timeouts, setWord, end } = setUp({ socketTimeoutMs: 100, queues: true });
    for (const nowMs of [0, 1000, 2000]) timeouts.check(nowMs);
    setWord(SERVING, 1);
    for (const nowMs of [3000, 3099]) timeouts.check(nowMs);
    expect(end()).toBe('eof');
  });

  it('does not pass its silence on when its descriptor is reused', () => {
    const { timeouts, connections, connection, fd, end } = setUp({ socketTimeoutMs: 100 });
    timeouts.check(0);
    const copy = libc.fcntl(fd, 0, 0); // F_DUPFD keeps the connection while its number goes
    connections.close(connection, CloseReason.Eof, 0);
    expect(libc.fcntl(copy, 0, fd)).toBe(fd);
    closeFd(copy);
    connections.admit(fd, '');
    timeouts.check(100);
    expect(end()).toBe('eof');
  });

  it('never expires without a timeout', () => {
    const { timeouts, end } = setUp({});
    for (const nowMs of [0, 1e9]) timeouts.check(nowMs);
    expect(end()).toBe('eof');
  });
});

describe('a check looks at a share of the connections', () => {
  const timeoutMs = 40_000;
  const stepMs = 1000;
  const checksPerSweep = timeoutMs / 4 / stepMs;

  /** Runs the checks; `act` comes before each, and returns true at the end. Returns the time of the last check. */
  function run(timeouts: Timeouts, act: (nowMs: number) => boolean): number {
    for (let nowMs = 0; nowMs < 10 * timeoutMs; nowMs += stepMs) {
      if (act(nowMs)) return nowMs - stepMs;
      timeouts.check(nowMs);
    }
    throw new Error('not reached');
  }

  it.each(Array.from({ length: checksPerSweep }, (_, i) => i * stepMs))(
    'and finds one that is silent from %i ms on in time',
    (lastMs) => {
      const { timeouts, connection, setDouble, end } = setUp({ socketTimeoutMs: timeoutMs });
      const firstMs = 3 * timeoutMs; // it speaks until then, and once more later
      const silentMs = firstMs + lastMs;
      const expiredMs = run(timeouts, (nowMs) => {
        if (nowMs <= firstMs || nowMs === silentMs)
          for (const double of [CONN_BYTES_IN, CONN_BYTES_OUT]) setDouble(double, nowMs);
        return connection.closeName !== null;
      });
      expect(expiredMs - silentMs).toBeGreaterThanOrEqual(timeoutMs);
      expect(expiredMs - silentMs).toBeLessThanOrEqual(timeoutMs * 1.25 + stepMs);
      end();
    },
  );

  it.each([
    { options: { socketTimeoutMs: timeoutMs }, sweeps: 3 },
    { options: { writeTimeoutMs: timeoutMs }, sweeps: 1 }, // nothing is sent or owed: one look each is enough
  ])('four times within the timeout, or never while nothing can have stalled: $options', (given) => {
    const { timeouts, connections, fd, end } = setUp(given.options);
    const copies = Array.from({ length: 25 }, () => check('fcntl', libc.fcntl(fd, 0, 0), 'F_DUPFD'));
    const others = copies.map((copy) => connections.admit(copy, ''));
    const looks: number[] = [];
    const { all } = Connections.prototype;
    vi.spyOn(connections, 'all').mockImplementation(function* (...part) {
      for (const connection of all.apply(connections, part)) {
        looks.push(connection.fd);
        yield connection;
      }
    });
    for (let n = 0; n < 3 * checksPerSweep; n++) timeouts.check(n * stepMs);
    expect(looks.toSorted()).toEqual(
      [fd, ...copies].flatMap((each) => Array(given.sweeps).fill(each)).toSorted(),
    );
    for (const other of others) connections.close(other, CloseReason.Eof, 0);
    end();
  });

  it('and at those that are due, unless they are closed', () => {
    const { timeouts, connections, connection, fd, end } = setUp({ socketTimeoutMs: timeoutMs });
    const closed = connections.admit(check('fcntl', libc.fcntl(fd, 0, 0), 'F_DUPFD'), '');
    for (let n = 0; n < checksPerSweep; n++) timeouts.check(n * stepMs);
    connections.close(closed, CloseReason.Eof, 0);
    vi.spyOn(connections, 'all').mockImplementation(function* () {}); // only the due ones
    timeouts.check(timeoutMs - 1);
    expect(connection.closeName).toBe(null);
    timeouts.check(timeoutMs + timeoutMs / 4);
    expect(connection.closeName).toBe('socketTimeout');
    expect(closed.closeName).toBe(null);
    end();
  });
});

describe.each([
  { name: 'a spill', queues: false },
  { name: 'a thread that waits in send', queues: true },
])('a peer that does not read ($name)', ({ queues }) => {
  function stuck(writeTimeoutMs: number, socketTimeoutMs = 0) {
    const it = setUp({ writeTimeoutMs, socketTimeoutMs, queues });
    const piece = new Uint8Array(65536);
    let sent = 0;
    for (let n = 0; n >= 0; n = sendFrom(it.fd, piece, piece.length)) sent += n;
    it.setDouble(CONN_BYTES_IN, sent + 1);
    it.setDouble(CONN_BYTES_OUT, sent);
    if (queues) it.setWord(SERVING, 1);
    return it;
  }

  it('expires after the write timeout', () => {
    const { timeouts, end } = stuck(100);
    for (const nowMs of [0, 99, 100]) timeouts.check(nowMs);
    expect(end()).toBe('writeTimeout');
  });

  it('does not expire while it takes something', () => {
    const { timeouts, peer, end } = stuck(100);
    const buffer = new Uint8Array(1 << 20);
    for (let nowMs = 0; nowMs <= 300; nowMs += 60) {
      timeouts.check(nowMs);
      check('recv', libc.recv(peer, buffer, buffer.length, 0), 'reading a little');
    }
    expect(end()).toBe('eof');
  });

  it('does not expire when it has taken everything sent and waits for the rest', () => {
    const { timeouts, fd, peer, setDouble, end } = stuck(100);
    const buffer = new Uint8Array(1 << 20);
    const MSG_DONTWAIT = 0x40;
    for (let tries = 0; unacknowledgedBytes(fd) > 0 && tries < 1e6; tries++)
      libc.recv(peer, buffer, buffer.length, MSG_DONTWAIT);
    setDouble(CONN_BYTES_OUT, 1); // any constant
    for (const nowMs of [0, 100, 200, 300]) timeouts.check(nowMs);
    expect(end()).toBe('eof');
  });

  it('counts as silent without a write timeout', () => {
    const { timeouts, end } = stuck(0, 100);
    for (const nowMs of [0, 100]) timeouts.check(nowMs);
    expect(end()).toBe('socketTimeout');
  });

  it('may wait forever without timeouts', () => {
    const { timeouts, end } = stuck(0);
    for (const nowMs of [0, 1e9]) timeouts.check(nowMs);
    expect(end()).toBe('eof');
  });
});

it('bytes acknowledged between the two queries count as answered', () => {
  const { fd, peer } = tcpPair();
  onTestFinished(() => closeFd(fd));
  const bytes = new Uint8Array(100);
  sendFrom(peer, bytes, bytes.length);
  soon(() => unreadBytes(fd) === bytes.length);
  expect(isUnanswered(fd)).toBe(true);
  sendFrom(fd, bytes, recvInto(fd, bytes, bytes.length));
  soon(() => unacknowledgedBytes(fd) === 0);
  expect(isUnanswered(fd)).toBe(false);
  // The first query answers from before the acknowledgement, the second from after it.
  const { getsockopt } = libc;
  let asked = 0;
  const spy = vi.spyOn(libc, 'getsockopt').mockImplementation((...args) => {
    const result = getsockopt(...args);
    const info = args[3] as Uint32Array;
    if (asked++ === 0) new BigUint64Array(info.buffer)[15] = 0n; // bytes_acked
    return result;
  });
  onTestFinished(() => spy.mockRestore());
  expect(isUnanswered(fd)).toBe(false);
  expect(asked).toBeGreaterThan(1);
});

it('a descriptor that is not a socket yields zeros, not an error', () => {
  const fd = openSync('/dev/null', 'r');
  onTestFinished(() => closeSync(fd));
  expect([unacknowledgedBytes(fd), unreadBytes(fd), stuckForMs(fd)]).toEqual([0, 0, 0]);
});

describe('latency histograms', () => {
  it('put a time into the first bucket whose bound is not below it', () => {
    const shared = SharedState.create({ cpus: 0, workers: 2, fdLimit: 8, spills: 0 });
    shared.words[WORKERS_HIGH] = 2;
    const times = [0, 0.5, 1, 1.01, 2, 3, 4, 1024, 1025, 2 ** 24, 2 ** 24 + 1, 2 ** 30];
    times.forEach((us, i) => {
      record(shared, 1 + (i % 2), Latency.echo, us);
    });
    const { counts, sumUs } = latencyTotals(shared, Latency.echo);
    const expected = new Array(BOUNDS_US.length + 1).fill(0);
    for (const us of times) {
      const bucket = BOUNDS_US.findIndex((bound) => us <= bound);
      expected[bucket < 0 ? BOUNDS_US.length : bucket]++;
    }
    expect(counts).toEqual(expected);
    expect(sumUs).toBeCloseTo(times.reduce((sum, us) => sum + us, 0));
    expect(latencyTotals(shared, Latency.dispatch).sumUs).toBe(0);
  });

  it('measure across the wraparound of the clock, and never from 0', () => {
    expect(elapsedUs(0x7fffffff, 9)).toBe(10);
    expect(elapsedUs(5, 1005)).toBe(1000);
    for (let i = 0; i < 100; i++) expect(momentUs()).toBeGreaterThan(0);
  });
});
