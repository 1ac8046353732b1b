/** A server in the test's process whose concurrency is observed, and clients that send simultaneously. */
import type { Logger } from 'pino';
import { onTestFinished } from 'vitest';
import type { GivenOptions } from '../../src/options/index.ts';
import { EchoServer } from '../../src/server/server.ts';
import { Client } from './client.ts';
import { threadFaults, WorkerFault } from './faults.ts';
import { until } from './wait.ts';

/** On a busy machine an item may be awake for long before it sleeps; it must not lose its slot for that. */
export const UNWATCHED = { cpus: 1, cpuIntensiveThreshMs: 60_000 };

/** `connect` resolves once `count` clients are accepted. `faults` may change at any time; `fault` is ordered at first. */
export async function startManaged(
  options: GivenOptions,
  logger?: Logger,
  fault: WorkerFault = WorkerFault.none,
) {
  const faults = threadFaults();
  faults.order(fault);
  const server = new EchoServer({ port: 0, logLevel: 'silent', ...options }, logger);
  onTestFinished(async () => {
    await server.close({ drainTimeoutMs: 0 });
  });
  const { port } = await server.listen();
  const connect = async (count: number) => {
    const before = server.stats().connections.active;
    const clients = Array.from({ length: count }, () => new Client(port));
    for (const client of clients) await client.connected();
    await until(() => server.stats().connections.active >= before + count, 'the clients accepted');
    return clients;
  };
  return { server, connect, faults };
}

/** Sends to all at once and resolves with the indices in the order of the answers. */
export async function roundTrip(clients: readonly Client[]): Promise<number[]> {
  const order: number[] = [];
  await Promise.all(
    clients.map(async (client, i) => {
      await client.echo(`request of ${i}`);
      order.push(i);
    }),
  );
  return order;
}
