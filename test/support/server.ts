/** Servers in the test's process, on a free port of 127.0.0.1, closed after the test. */
import { onTestFinished } from 'vitest';
import { STRATEGIES, type StrategyName } from '../../src/index.ts';
import type { GivenOptions } from '../../src/options/index.ts';
import { EchoServer } from '../../src/server/server.ts';
import { until } from './wait.ts';

export { STRATEGIES, type StrategyName };

export interface Running {
  server: EchoServer;
  port: number;
}

/** A listening server; its connections are cut and it is closed after the test. */
export async function startServer(options: GivenOptions): Promise<Running> {
  const server = new EchoServer({ port: 0, logLevel: 'silent', ...options });
  onTestFinished(async () => {
    await server.close({ drainTimeoutMs: 0 });
  });
  const { port } = await server.listen();
  return { server, port };
}

export const TIMEOUTS_OFF = { socketTimeoutMs: 0, writeTimeoutMs: 0, keepaliveTimeMs: 0, userTimeoutMs: 0 };
/** Of a workqueue, which otherwise has as many as processors. */
export const FOUR_WORKERS = { kthread: {}, workqueue: { workers: 4 }, cmwq: {} };

/** Open connections. */
export function active(server: EchoServer): number {
  return server.stats().connections.active;
}

export async function untilActive(server: EchoServer, count: number): Promise<void> {
  await until(() => active(server) === count, `${count} open connections`);
}

/** Connections that have ended, by reason. */
export function closed(server: EchoServer) {
  return server.stats().connections.closed;
}

/** Connections that have ended, whatever the reason. */
export function closedCount(server: EchoServer): number {
  return Object.values(closed(server)).reduce((sum, count) => sum + count, 0);
}
