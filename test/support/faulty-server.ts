/**
 * A server in this process whose accept(2) can be made to fail, and clients that may have to wait.
 */
import koffi from 'koffi';
import { expect, onTestFinished, vi } from 'vitest';
import type { GivenOptions } from '../../src/options/index.ts';
import { EchoServer } from '../../src/server/server.ts';
import { libc } from '../../src/sys/libc.ts';
import type { LogLine } from './child.ts';
import { Client } from './client.ts';
import { recordingLogger } from './log-output.ts';

/** Log messages for a failing accept(2) and a lost listening socket. */
export const PAUSES = 'accepting paused; clients wait in the backlog';
export const LOST = 'listening socket lost: it was closed or shut down';
export const FAILED = 'cannot listen again; retrying every second';
export const AGAIN = 'listening again';

const FEW_THREADS: GivenOptions = { strategy: 'workqueue', workers: 3 };

export interface AcceptFaults {
  /** Called before each accept(2): the errno to fail with, 0 = none. */
  accept: () => number;
}

export interface Started {
  server: EchoServer;
  port: number;
  faults: AcceptFaults;
  saying: (msg: string) => LogLine[];
}

const { accept4 } = libc;

/** The faults of the server that the test started last. */
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
 * A listening server with accept(2) faults, and its log lines. Few threads, because the listener does not depend on the
 * strategy. The write timeout makes the server check its socket every 25 ms instead of every second.
 */
export async function startFaulty(options: GivenOptions = {}, fd?: number): Promise<Started> {
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

/** The only element; fails if there are others. */
export function only(fds: readonly number[]): number {
  expect(fds).toHaveLength(1);
  return fds[0] as number; // the line above
}

/** A client that may never be accepted; destroyed after the test. */
export function attempt(port: number, first?: string): Client {
  const client = new Client(port, first === undefined ? {} : { first: Buffer.from(first) });
  onTestFinished(() => {
    client.socket.destroy();
  });
  return client;
}
