/**
 * Goal: a lingering connection's end is called what it was, whenever the peer's kernel answers.
 * Method: a kernel in which the peer acts between two queries of the connection.
 */
import { expect, it, vi } from 'vitest';
import { CloseReason } from '../src/memory/layout.ts';
import { OpenConnection } from '../src/server/connections.ts';
import { Lingering } from '../src/server/lingering.ts';
import { E, libc } from '../src/sys/libc.ts';

const LAST_ACK = 9;
const CLOSE = 7;
const SO_ERROR = 4;
const ECHO_BYTES = 1000;

interface Tcp {
  state: number;
  unacknowledged: number;
  error: number;
}

/** How a connection ends in whose `lingering` the peer acts right after query number `at` of its state, from 1. */
async function endOf(at: number, act: (tcp: Tcp) => void): Promise<[CloseReason, number]> {
  const tcp = { state: LAST_ACK, unacknowledged: ECHO_BYTES, error: 0 };
  const isLingering = { yes: false };
  let queries = 0;
  const answered = () => {
    if (isLingering.yes && ++queries === at) act(tcp);
    return 0;
  };
  const mocks = [
    vi.spyOn(libc, 'shutdown').mockReturnValue(0),
    vi.spyOn(libc, 'ioctl').mockImplementation((_fd, _request, bytes) => {
      (bytes as Int32Array)[0] = tcp.unacknowledged;
      return answered();
    }),
    vi.spyOn(libc, 'getsockopt').mockImplementation((_fd, _level, name, value) => {
      (value as Uint32Array)[0] = name === SO_ERROR ? tcp.error : tcp.state;
      return name === SO_ERROR ? 0 : answered();
    }),
  ];
  const ended = Promise.withResolvers<[CloseReason, number]>();
  const lingering = new Lingering((_connection, reason, errno) => ended.resolve([reason, errno]));
  try {
    expect(lingering.admit(new OpenConnection(-1, ''))).toBe(true);
    isLingering.yes = true;
    return await ended.promise;
  } finally {
    lingering.close();
    for (const mock of mocks) mock.mockRestore();
  }
}

/**
 *     main                             kernel
 *     asks for the bytes or the state
 *                                      the peer acknowledges the echo and the FIN: no bytes, TCP_CLOSE
 *     asks for the other
 */
it.each([1, 2, 3, 4])('is eof when the peer acknowledges everything after query %d', async (at) => {
  const acknowledge = (tcp: Tcp) => Object.assign(tcp, { state: CLOSE, unacknowledged: 0 });
  expect(await endOf(at, acknowledge)).toEqual([CloseReason.Eof, 0]);
});

it.each([1, 2, 3, 4])('is an error when the peer resets after query %d', async (at) => {
  const reset = (tcp: Tcp) => Object.assign(tcp, { state: CLOSE, error: E.ETIMEDOUT });
  expect(await endOf(at, reset)).toEqual([CloseReason.Error, E.ETIMEDOUT]);
});
