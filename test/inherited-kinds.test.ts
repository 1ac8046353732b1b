/**
 * Goal: whatever a service manager hands over is served, or refused by a line that names its kind. A Multipath TCP
 * socket is served: the options that it lacks are logged once, and connections without Multipath TCP have them all.
 * Method: this process makes sockets of every kind that the kernel supports and hands them to the program.
 */
import { openSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { libc } from '../src/sys/libc.ts';
import { encodeSockaddr } from '../src/sys/sockaddr.ts';
import { closeFd, localAddress } from '../src/sys/socket.ts';
import { whenListening } from './support/child.ts';
import { connectTo, pattern } from './support/client.ts';
import { startFaulty } from './support/faulty-server.ts';
import { listening, runActivated } from './support/listening.ts';
import { STRATEGIES } from './support/server.ts';

const AF_UNIX = 1;
const AF_INET = 2;
const AF_VSOCK = 40;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const IPPROTO_SCTP = 132;
const IPPROTO_MPTCP = 262;
const LACKING = 'the listening socket does not support some options';

/** Closed after the test. -1 when the kernel does not support such a socket. */
function socket(family: number, type: number, protocol: number): number {
  return closedLater(libc.socket(family, type, protocol));
}

function closedLater(fd: number): number {
  if (fd >= 0) onTestFinished(() => closeFd(fd));
  return fd;
}

function bindAndListen(fd: number): { fd: number; port: number } {
  const address = encodeSockaddr('127.0.0.1', 0);
  if (libc.bind(fd, address, address.length) !== 0 || libc.listen(fd, 16) !== 0)
    throw new Error('no listener');
  return { fd, port: localAddress(fd).port };
}

describe.each(STRATEGIES)('%s: a socket of Multipath TCP', (strategy) => {
  it('is served with the options that it has; the others are logged once', async ({ skip }) => {
    const fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);
    if (fd < 0) return skip('this kernel has no Multipath TCP');
    const { port } = bindAndListen(fd);
    const { child } = await whenListening(
      runActivated(fd, ['--strategy', strategy, '--drain-timeout', '1m']),
    );
    expect(child.linesSaying(LACKING)).toMatchObject([{ options: ['SO_OOBINLINE', 'TCP_USER_TIMEOUT'] }]);
    for (let i = 0; i < 2; i++) {
      const client = await connectTo(port); // plain TCP
      await client.echo(pattern(100_000));
      await client.quit();
    }
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.linesSaying(LACKING)).toHaveLength(1);
    expect(child.stderr).toBe('');
  });
});

describe('a listening socket whose protocol lacks an option', () => {
  const { setsockopt } = libc;
  const SOL_SOCKET = 1;
  const SO_OOBINLINE = 10;
  const NO_LEVEL = 9999;

  it('is served; accepted sockets that have the option get it', async () => {
    const failing = libc as { setsockopt: typeof setsockopt };
    onTestFinished(() => {
      failing.setsockopt = setsockopt;
    });
    const set: number[] = [];
    let refused = -1;
    failing.setsockopt = (fd, level, name, value, length) => {
      if (level !== SOL_SOCKET || name !== SO_OOBINLINE) return setsockopt(fd, level, name, value, length);
      if (refused < 0) refused = fd;
      if (fd === refused) return setsockopt(fd, NO_LEVEL, name, value, length); // fails, and so sets errno
      set.push(fd);
      return setsockopt(fd, level, name, value, length);
    };
    const started = await startFaulty();
    expect(started.saying(LACKING)).toMatchObject([{ options: ['SO_OOBINLINE'] }]);
    await (await connectTo(started.port)).echo('served');
    expect(set).toHaveLength(1);
  });

  it('is refused when setting an option fails for another reason', async () => {
    const failing = libc as { setsockopt: typeof setsockopt };
    onTestFinished(() => {
      failing.setsockopt = setsockopt;
    });
    failing.setsockopt = (_fd, level, name, value, length) => setsockopt(-1, level, name, value, length);
    await expect(startFaulty()).rejects.toMatchObject({ code: 'EBADF' });
  });
});

describe('what is not a listening TCP socket', () => {
  const kinds: [kind: string, what: string, make: () => number][] = [
    ['a file', 'not a socket', () => closedLater(openSync('/dev/null', 'r'))],
    ['Unix stream', 'a Unix socket', () => socket(AF_UNIX, SOCK_STREAM, 0)],
    ['vsock', 'a vsock socket', () => socket(AF_VSOCK, SOCK_STREAM, 0)],
    ['UDP', 'a UDP socket', () => socket(AF_INET, SOCK_DGRAM, 0)],
    ['SCTP', 'an SCTP socket', () => socket(AF_INET, SOCK_STREAM, IPPROTO_SCTP)],
    ['TCP, not listening', 'a TCP socket that does not listen', () => socket(AF_INET, SOCK_STREAM, 0)],
    [
      'Multipath TCP, not listening',
      'a TCP socket that does not listen',
      () => socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP),
    ],
  ];

  it.for(kinds)('is refused: %s: one line, exit 2', async ([, what, make], { skip }) => {
    const fd = make();
    if (fd < 0) return skip('not supported by this kernel');
    const child = runActivated(fd, []);
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
    const allowed = `one listening TCP socket (Accept=no); descriptor 3 is ${what}`;
    expect(child.stderr).toBe(`kecho-pool: LISTEN_FDS: "1" is not allowed: ${allowed}\n`);
    const message = `descriptor ${fd} is not a listening TCP socket: it is ${what}`;
    await expect(startFaulty({}, fd)).rejects.toThrow(message);
  });
});

it('names the inherited socket, not --host and --port, when it cannot be used', async () => {
  const { fd, port } = listening();
  // A file takes its number between the check and the use, when the admin endpoint's thread is made.
  const steal = `import fs from"node:fs";import{syncBuiltinESMExports}from"node:module";import wt from"node:worker_threads";
    const{Worker}=wt;if(wt.isMainThread)wt.Worker=class extends Worker{
      constructor(...a){fs.closeSync(3);fs.openSync("/dev/null");super(...a)}};syncBuiltinESMExports()`;
  const preload = `--import=data:text/javascript,${encodeURIComponent(steal)}`;
  const child = runActivated(fd, ['--port', '7', '--admin', '0'], { env: { NODE_OPTIONS: preload } });
  expect(await child.untilEnded()).toEqual({ code: 3, signal: null });
  const where = `the inherited socket (descriptor 3, 127.0.0.1 port ${port})`;
  const why = 'descriptor 3 is not a listening TCP socket: it is not a socket';
  expect(child.stderr).toBe(`kecho-pool: cannot listen on ${where}: ${why}\n`);
});
