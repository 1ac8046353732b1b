/**
 * A server in this process whose accept(2) can be made to fail, and clients that may have to wait for it.
 */
import koffi from 'koffi';
import { expect, onTestFinished, vi } from 'vitest';
import type { EchoServerOptions } from '../../src/index.ts';
import { EchoServer } from '../../src/server/server.ts';
import { libc } from '../../src/sys/libc.ts';
import type { LogLine } from './child.ts';
import { Client } from './client.ts';
import { recordingLogger } from './log-output.ts';

/** What the server logs when accept(2) fails, and when its listening socket is gone. */
export const PAUSES = 'accepting pauses: clients wait in the backlog';
export const LOST = 'the listening socket is gone: somebody closed it or shut it down';
export const FAILED = 'cannot listen again; trying each second';
export const AGAIN = 'listening again';

const FEW_THREADS: EchoServerOptions = { strategy: 'workqueue', workers: 3 };

export interface AcceptFaults {
  /** Asked before each accept(2): the errno that it is to fail with, 0 for none. */
  accept: () => number;
}

export interface Started {
  server: EchoServer;
  port: number;
  faults: AcceptFaults;
  saying: (msg: string) => LogLine[];
}

const { accept4 } = libc;

/** Those of the last server that the test has started. */
function acceptFaults(): AcceptFaults {
  const faults = { accept: () => 0 };
  const spy = vi.spyOn(libc, 'accept4').mockImplementation((...args) => {
    const fault = faults.accept();
    if (fault === 0) return accept4(...args);
    koffi.errno(fault);
    return -1;
  });
  onTestFinished(() => spy.mockRestore());
  return faults;
}

/**
 * A listening server whose accept(2) fails as told, and what it has logged.
 * Few threads, because the listener knows nothing of strategies. The write timeout makes the
 * server look after its socket every 25 ms instead of every second.
 */
export async function startFaulty(options: EchoServerOptions = {}, fd?: number): Promise<Started> {
  const { lines, logger } = recordingLogger();
  const faults = acceptFaults();
  const server = new EchoServer(
    { port: 0, writeTimeoutMs: 100, ...(options.strategy === undefined ? FEW_THREADS : {}), ...options },
    logger,
  );
  onTestFinished(async () => {
    await server.close({ drainTimeoutMs: 0 });
  });
  const { port } = await server.listen(fd === undefined ? {} : { fd });
  return { server, port, faults, saying: (msg) => lines.filter((line) => line.msg === msg) };
}

/** The one descriptor that there must be. */
export function only(fds: readonly number[]): number {
  expect(fds).toHaveLength(1);
  return fds[0] as number; // the line above
}

/** A client that may never be accepted; it ends with the test. */
export function attempt(port: number, first?: string): Client {
  const client = new Client(port, first === undefined ? {} : { first: Buffer.from(first) });
  onTestFinished(() => {
    client.socket.destroy();
  });
  return client;
}
