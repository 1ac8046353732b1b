/**
 * Goal: only a connection that makes no progress by its own fault expires, however the looks fall.
 * Method: the look itself with times of the test, on shared words that the test sets as workers would, and on real
 * sockets where the kernel is asked.
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
  recvInto,
  SOCK_CLOEXEC,
  SOCK_NONBLOCK,
  sendFrom,
} from '../src/sys/socket.ts';

const ACCEPTED = {
  blockingTimeoutMs: 0,
  keepaliveTimeMs: 0,
  keepaliveIntervalMs: 1000,
  keepaliveProbes: 1,
  userTimeoutMs: 0,
};

/** Both ends of a TCP connection: the server's is non-blocking. */
function tcpPair(): { fd: number; peer: number } {
  const options = { address: '127.0.0.1', port: 0, backlog: 1, reusePort: false, accepted: ACCEPTED };
  const { fd: listening } = listenTcp(options);
  const peer = check('socket', libc.socket(2, 1, 0), 'making a peer');
  const address = encodeSockaddr('127.0.0.1', localAddress(listening).port);
  check('connect', libc.connect(peer, address, address.length), 'connecting');
  const fd = check('accept4', libc.accept4(listening, null, null, SOCK_CLOEXEC | SOCK_NONBLOCK), 'accepting');
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
  const say = (word: number, value: number) => {
    shared.conns[shared.connWord(fd, word)] = value;
  };
  const count = (double: number, value: number) => {
    shared.connDoubles[shared.connDouble(fd, double)] = value;
  };
  /** Why it ended, null while it is open; it is closed by that. */
  const end = () => connections.close(connections.get(fd) ?? connection, CloseReason.Eof, 0).reason;
  return { shared, connections, connection, timeouts, fd, peer, say, count, end };
}

describe('a silent connection', () => {
  it('expires when nothing has moved for the socket timeout', () => {
    const { timeouts, end } = setUp({ socketTimeoutMs: 100 });
    for (const nowMs of [0, 99, 100]) timeouts.look(nowMs);
    expect(end()).toBe('socketTimeout');
  });

  it('begins anew with every byte', () => {
    const { timeouts, count, end } = setUp({ socketTimeoutMs: 100 });
    for (let nowMs = 0; nowMs < 1000; nowMs += 60) {
      count(CONN_BYTES_IN, nowMs);
      count(CONN_BYTES_OUT, nowMs);
      timeouts.look(nowMs);
      timeouts.look(nowMs + 30);
    }
    expect(end()).toBe('eof');
  });

  it('is not silent while its handler works', () => {
    const { timeouts, count, end } = setUp({ socketTimeoutMs: 100 });
    count(CONN_BYTES_IN, 5);
    for (const nowMs of [0, 1000, 2000]) timeouts.look(nowMs);
    expect(end()).toBe('eof');
  });

  it('is not silent while what it has sent waits for a worker', () => {
    const { timeouts, fd, peer, end } = setUp({ socketTimeoutMs: 100 });
    const byte = new Uint8Array(1);
    sendFrom(peer, byte, 1);
    for (const nowMs of [0, 1000, 2000, 3000]) timeouts.look(nowMs);
    expect(recvInto(fd, byte, 1)).toBe(1); // not reset
    for (const nowMs of [3001, 3101]) timeouts.look(nowMs);
    expect(end()).toBe('socketTimeout');
  });

  it('is not silent while it waits for a thread', () => {
    const { timeouts, say, end } = setUp({ socketTimeoutMs: 100, queues: true });
    for (const nowMs of [0, 1000, 2000]) timeouts.look(nowMs);
    say(SERVING, 1);
    for (const nowMs of [3000, 3099]) timeouts.look(nowMs);
    expect(end()).toBe('eof');
  });

  it('is another one when its descriptor is used again', () => {
    const { timeouts, connections, connection, fd, end } = setUp({ socketTimeoutMs: 100 });
    timeouts.look(0);
    const copy = libc.fcntl(fd, 0, 0); // F_DUPFD keeps the connection while its number goes
    connections.close(connection, CloseReason.Eof, 0);
    expect(libc.fcntl(copy, 0, fd)).toBe(fd);
    closeFd(copy);
    connections.admit(fd, '');
    timeouts.look(100);
    expect(end()).toBe('eof');
  });

  it('is forgotten when it has ended', () => {
    const { timeouts, connections, connection } = setUp({ socketTimeoutMs: 100 });
    const isOpen = vi.spyOn(connections, 'isOpen');
    timeouts.look(0);
    timeouts.look(1);
    connections.close(connection, CloseReason.Eof, 0);
    timeouts.look(2);
    expect(isOpen.mock.results.map(({ value }) => value)).toEqual([true, false]);
    timeouts.look(3);
    expect(isOpen).toHaveBeenCalledTimes(2); // nobody is left to be asked for
  });

  it('never expires without a timeout', () => {
    const { timeouts, end } = setUp({});
    for (const nowMs of [0, 1e9]) timeouts.look(nowMs);
    expect(end()).toBe('eof');
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
    it.count(CONN_BYTES_IN, sent + 1);
    it.count(CONN_BYTES_OUT, sent);
    if (queues) it.say(SERVING, 1);
    return it;
  }

  it('expires by the write timeout', () => {
    const { timeouts, end } = stuck(100);
    for (const nowMs of [0, 99, 100]) timeouts.look(nowMs);
    expect(end()).toBe('writeTimeout');
  });

  it('goes on as long as it takes something', () => {
    const { timeouts, peer, end } = stuck(100);
    const buffer = new Uint8Array(1 << 20);
    for (let nowMs = 0; nowMs <= 300; nowMs += 60) {
      timeouts.look(nowMs);
      check('recv', libc.recv(peer, buffer, buffer.length, 0), 'reading a little');
    }
    expect(end()).toBe('eof');
  });

  it('goes on when it has taken all that was sent and waits for the rest itself', () => {
    const { timeouts, fd, peer, count, end } = stuck(100);
    const buffer = new Uint8Array(1 << 20);
    const MSG_DONTWAIT = 0x40;
    for (let looks = 0; unacknowledgedBytes(fd) > 0 && looks < 1e6; looks++)
      libc.recv(peer, buffer, buffer.length, MSG_DONTWAIT);
    count(CONN_BYTES_OUT, 1); // whatever it says, as long as it stays
    for (const nowMs of [0, 100, 200, 300]) timeouts.look(nowMs);
    expect(end()).toBe('eof');
  });

  it('is silent, too, where there is no write timeout', () => {
    const { timeouts, end } = stuck(0, 100);
    for (const nowMs of [0, 100]) timeouts.look(nowMs);
    expect(end()).toBe('socketTimeout');
  });

  it('may wait for ever without any timeout', () => {
    const { timeouts, end } = stuck(0);
    for (const nowMs of [0, 1e9]) timeouts.look(nowMs);
    expect(end()).toBe('eof');
  });
});

it('what is acknowledged while the kernel is asked counts as answered', () => {
  const { fd, peer } = tcpPair();
  onTestFinished(() => closeFd(fd));
  const bytes = new Uint8Array(100);
  sendFrom(peer, bytes, bytes.length);
  expect(isUnanswered(fd)).toBe(true);
  sendFrom(fd, bytes, recvInto(fd, bytes, bytes.length));
  expect(isUnanswered(fd)).toBe(false);
  // The answer to the first question is from before the acknowledgement, that to the second from after it.
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

it('a descriptor that is no socket has nothing to tell, and is no error', () => {
  const fd = openSync('/dev/null', 'r');
  onTestFinished(() => closeSync(fd));
  expect([unacknowledgedBytes(fd), unreadBytes(fd), stuckForMs(fd)]).toEqual([0, 0, 0]);
});

describe('latency histograms', () => {
  it('put a time into the first bucket whose bound it does not exceed', () => {
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

  it('measure across the turn of the clock, and never from 0', () => {
    expect(elapsedUs(0x7fffffff, 9)).toBe(10);
    expect(elapsedUs(5, 1005)).toBe(1000);
    for (let i = 0; i < 100; i++) expect(momentUs()).toBeGreaterThan(0);
  });
});
