/**
 * Goal: whatever other code in the process does to the listening socket, the server logs it once, keeps open
 * connections, recreates the socket and keeps accepting; it leaves alone whatever has reused the socket's number.
 * Method: this process closes the server's listening descriptor, shuts it down, or takes its number or its port.
 */
import { closeSync, openSync, readlinkSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { listenOn } from '../bench/free-port.ts';
import { E, libc } from '../src/sys/libc.ts';
import { closeFd, isListening } from '../src/sys/socket.ts';
import { type Client, connectTo } from './support/client.ts';
import { AGAIN, attempt, FAILED, LOST, only, type Started, startFaulty } from './support/faulty-server.ts';
import { listenersOn, listening } from './support/listening.ts';
import { descriptors } from './support/process.ts';
import { STRATEGIES } from './support/server.ts';
import { until } from './support/wait.ts';

const SHUT_RDWR = 2;

describe('the listening socket is taken away', () => {
  async function expectRecovery({ server, port, saying }: Started, first: Client): Promise<void> {
    await until(() => saying(AGAIN).length === 1, 'listening again');
    expect(saying(AGAIN)).toMatchObject([{ address: '127.0.0.1', port }]);
    await first.echo('not disturbed');
    await (await connectTo(port)).echo('served again');
    expect(saying(LOST)).toHaveLength(1);
    expect(server.stats()).toMatchObject({ state: 'listening', connections: { accepted: 2, active: 2 } });
  }

  it.each(STRATEGIES)('%s: recovers from a close', async (strategy) => {
    const started = await startFaulty({ strategy, ...(strategy === 'workqueue' ? { workers: 2 } : {}) });
    const first = await connectTo(started.port);
    await first.echo('before');
    closeFd(only(listenersOn(started.port)));
    await expectRecovery(started, first);
    expect(started.saying(FAILED)).toEqual([]);
  });

  it('recovers from a shutdown', async () => {
    const started = await startFaulty();
    const first = await connectTo(started.port);
    await first.echo('before');
    const open = descriptors();
    libc.shutdown(only(listenersOn(started.port)), SHUT_RDWR);
    await until(() => started.saying(AGAIN).length === 1, 'listening again');
    expect(descriptors()).toBe(open); // the old one is closed
    await expectRecovery(started, first);
  });

  it('closed, and its number reused by a file: leaves the file alone', async () => {
    const started = await startFaulty();
    const first = await connectTo(started.port);
    await first.echo('before');
    const fd = only(listenersOn(started.port));
    closeFd(fd);
    expect(openSync('/dev/null', 'r')).toBe(fd);
    await expectRecovery(started, first);
    await started.server.close({ drainTimeoutMs: 0 });
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toBe('/dev/null');
    closeSync(fd);
  });

  it('closed, and its number reused by another listening socket: accepts nothing from that', async () => {
    const started = await startFaulty();
    const first = await connectTo(started.port);
    await first.echo('before');
    const fd = only(listenersOn(started.port));
    closeFd(fd);
    const other = listening();
    expect(other.fd).toBe(fd);
    const theirs = await connectTo(other.port, { first: Buffer.from('not for the server') });
    await expectRecovery(started, first);
    await started.server.close({ drainTimeoutMs: 0 });
    expect(isListening(other.fd)).toBe(true);
    expect(theirs).toMatchObject({ available: 0, closed: false });
  });

  it('closed, and the port is taken: logs it once and retries until it is free', async () => {
    const started = await startFaulty();
    const first = await connectTo(started.port);
    await first.echo('before');
    const { bind } = libc;
    let attempts = 0;
    const counted = libc as { bind: typeof bind };
    counted.bind = (...args) => {
      attempts++;
      return bind(...args);
    };
    onTestFinished(() => {
      counted.bind = bind;
    });
    closeFd(only(listenersOn(started.port)));
    const thief = listenOn(started.port);
    attempts = 0;
    await until(() => attempts >= 3, 'three attempts');
    expect(started.saying(FAILED)).toMatchObject([{ code: 'EADDRINUSE' }]);
    expect(started.server.address()).toBeNull();
    expect(started.server.status().events.at(-1)?.kind).toBe('listeningLost');
    await first.echo('still served');
    closeFd(thief);
    await expectRecovery(started, first);
    expect(started.server.address()?.port).toBe(started.port);
    expect(started.server.status().events.at(-1)?.kind).toBe('listening');
    expect(started.saying(FAILED)).toHaveLength(1);
  });

  it('closed: the server can still stop', async () => {
    const { server, port, saying } = await startFaulty();
    const first = await connectTo(port);
    await first.echo('before');
    closeFd(only(listenersOn(port)));
    const thief = listenOn(port);
    await until(() => saying(FAILED).length === 1, 'a failure');
    const closed = server.close();
    await first.quit();
    expect(await closed).toEqual({ cut: 0, threadsEnded: true });
    closeFd(thief);
  });

  it('recovers from ENOTSOCK in accept', async () => {
    const started = await startFaulty();
    const first = await connectTo(started.port);
    await first.echo('before');
    let once = E.ENOTSOCK;
    started.faults.accept = () => {
      const now = once;
      once = 0;
      return now;
    };
    attempt(started.port);
    await until(() => started.saying(AGAIN).length === 1, 'listening again');
    expect(started.saying(LOST)).toHaveLength(1);
    await (await connectTo(started.port)).echo('served again');
  });
});
