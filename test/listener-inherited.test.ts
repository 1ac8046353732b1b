/**
 * Goal: an inherited listening socket outlives the server: the server does not shut it down at the stop and does not
 * disturb its other holders; after losing the descriptor, it continues with another copy, or logs once that it has none.
 * Method: this process makes the socket, hands duplicates to servers and closes them or shuts them down.
 */
import { closeSync, openSync, readlinkSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { listenOn } from '../bench/free-port.ts';
import { duplicate } from '../src/sys/inherited-socket.ts';
import { libc } from '../src/sys/libc.ts';
import { closeFd, isListening } from '../src/sys/socket.ts';
import { connectTo } from './support/client.ts';
import { AGAIN, FAILED, LOST, startFaulty } from './support/faulty-server.ts';
import { isPolled, listenersOn, listening } from './support/listening.ts';
import { until } from './support/wait.ts';

const SHUT_RDWR = 2;
const F_DUPFD_CLOEXEC = 1030;

describe('an inherited socket', () => {
  it('is not shut down at the stop: the next server serves the waiting connection', async () => {
    const { fd, port } = listening();
    const first = await startFaulty({}, duplicate(fd, 0));
    await (await connectTo(port)).echo('served by the first');
    await first.server.close({ drainTimeoutMs: 0 });
    expect(first.saying('listening')).toMatchObject([{ inherited: true, port }]);
    expect(listenersOn(port)).toEqual([fd]); // the server's copies are closed
    const waiting = await connectTo(port, { first: Buffer.from('waits') });
    const second = await startFaulty({ strategy: 'kthread' }, duplicate(fd, 0));
    expect((await waiting.readExactly(5)).toString()).toBe('waits');
    expect(second.server.stats().connections.accepted).toBe(1);
  });

  it.each([
    ['closed', (fd: number) => closeFd(fd)],
    ['shut down', (fd: number) => libc.shutdown(fd, SHUT_RDWR)],
  ])('keeps working for the server and other holders when it is %s', async (_, takeAway) => {
    const { port, fd } = listening();
    const theirs = duplicate(fd, 0);
    const started = await startFaulty({}, theirs);
    const first = await connectTo(port);
    await first.echo('before');
    takeAway(theirs);
    await until(() => started.saying(AGAIN).length === 1, 'listening again');
    await first.echo('not disturbed');
    await (await connectTo(port)).echo('served again');
    expect(started.saying(LOST)).toHaveLength(1);
    await started.server.close({ drainTimeoutMs: 0 });
    expect(listenersOn(port)).toEqual([fd]);
  });

  it('with no copy left: logs an error once and serves open connections', async () => {
    const { port, fd } = listening();
    const started = await startFaulty({}, duplicate(fd, 0));
    const first = await connectTo(port);
    await first.echo('before');
    for (const one of listenersOn(port)) if (one !== fd) closeFd(one);
    await until(() => started.saying(FAILED).length === 1, 'the error');
    await first.echo('still served');
    expect(started.saying(LOST)).toHaveLength(1);
    const closed = started.server.close();
    await first.quit();
    expect(await closed).toMatchObject({ cut: 0 });
  });

  it('shut down, and bound to port 0: loses its port, and logs an error once', async () => {
    const fd = listenOn(0); // not through `listening`: see there
    onTestFinished(() => closeFd(fd));
    const theirs = duplicate(fd, 0);
    const started = await startFaulty({}, theirs);
    const first = await connectTo(started.port);
    await first.echo('before');
    libc.shutdown(theirs, SHUT_RDWR);
    await until(() => started.saying(FAILED).length === 1, 'the error');
    expect(started.saying(FAILED)).toMatchObject([{ code: 'EINVAL' }]);
    await first.echo('still served');
    expect(isListening(fd)).toBe(false); // not on some other port either
    expect(started.saying(AGAIN)).toEqual([]);
  });

  it('closed, and its number reused by a file: leaves the file alone', async () => {
    const { port, fd } = listening();
    const theirs = duplicate(fd, 0);
    const started = await startFaulty({}, theirs);
    const first = await connectTo(port);
    await first.echo('before');
    closeFd(theirs);
    expect(openSync('/dev/null', 'r')).toBe(theirs);
    await until(() => started.saying(AGAIN).length === 1, 'listening again');
    await first.echo('not disturbed');
    await (await connectTo(port)).echo('served again');
    await started.server.close({ drainTimeoutMs: 0 });
    expect(readlinkSync(`/proc/self/fd/${theirs}`)).toBe('/dev/null');
    expect(listenersOn(port)).toEqual([fd]); // duplicates made to get the number back are closed
    closeSync(theirs);
  });

  it('closed just before the stop, with no descriptor available: still stops', async () => {
    const { port, fd } = listening();
    const theirs = duplicate(fd, 0);
    const { server } = await startFaulty({}, theirs);
    const { fcntl } = libc;
    const failing = libc as { fcntl: typeof fcntl };
    onTestFinished(() => {
      failing.fcntl = fcntl;
    });
    let failed = 0;
    failing.fcntl = (of, command, argument) => {
      if (command !== F_DUPFD_CLOEXEC) return fcntl(of, command, argument);
      failed++;
      return fcntl(of, command, -1); // fails, and so sets errno
    };
    closeFd(theirs);
    expect(await server.close()).toEqual({ cut: 0, threadsEnded: true });
    expect(failed).toBe(1);
    expect(listenersOn(port)).toEqual([fd]);
  });

  it('closed just before the stop: no longer wakes the event loop', async () => {
    const { port, fd } = listening();
    const theirs = duplicate(fd, 0);
    const started = await startFaulty({}, theirs);
    await (await connectTo(port)).echo('before');
    expect(isPolled(fd)).toBe(true);
    closeFd(theirs);
    void started.server.close();
    expect(isPolled(fd)).toBe(false);
  });

  it('must be a listening TCP socket; another descriptor stays open', async () => {
    const fd = openSync('/dev/null', 'r');
    await expect(startFaulty({}, fd)).rejects.toThrow(`descriptor ${fd} is not a listening TCP socket`);
    closeSync(fd);
  });
});
