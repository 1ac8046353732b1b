/**
 * An admin endpoint without a server, which answers every request with the test's status: any number of workers, exact
 * counters, and an endpoint that can stop and return.
 */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { onTestFinished } from 'vitest';
import type { HistogramStatus, ServerStatus } from '../../src/schema/status.ts';
import { noCloses } from '../../src/server/connections.ts';
import { noRefusals } from '../../src/server/refusals.ts';

export function histogram(counts: readonly number[], sumSeconds = 0): HistogramStatus {
  const boundsSeconds = Array.from({ length: 25 }, (_, i) => 2 ** i / 1e6);
  const all = Array.from({ length: 26 }, (_, i) => counts[i] ?? 0);
  return { boundsSeconds, counts: all, count: all.reduce((sum, n) => sum + n, 0), sumSeconds };
}

/** A cmwq server with this number of workers and CPU pools; worker id i has started 1001 - i items. */
export function fakeStatus(workers: number, pools: number): ServerStatus {
  return {
    version: '1.2.3',
    pid: 4711,
    node: 'v26.10.0',
    uptimeMs: 3_723_000,
    snapshotAgeMs: 0,
    address: { address: '127.0.0.1', port: 12345 },
    limits: {
      maxConnections: 10_000,
      maxWorkers: 512,
      maxActive: 1024,
      cpus: pools,
      maxQueue: null,
      spillBuffers: 1024,
    },
    services: [],
    handler: null,
    stats: {
      state: 'listening',
      strategy: 'cmwq',
      connections: {
        accepted: 5000,
        active: 120,
        queued: 0,
        lingering: 0,
        closed: { ...noCloses(), eof: 4880 },
        refused: { ...noRefusals(), maxConnections: 7 },
      },
      bytesIn: 10_000_000,
      bytesOut: 10_000_000,
      echoes: 1_000_000,
      items: {
        started: 1_234_567,
        completed: 1_234_555,
        cmWakeup: 42,
        rescued: 3,
        cpuIntensive: 17,
        noticed: 1_234_567,
        mayday: 2,
        hung: 0,
        moved: 0,
      },
      spills: { total: 0, inUse: 0 },
      workers: { starting: 0, idle: workers, onDuty: 0, blocked: 0, cpuIntensive: 0, finishing: 0 },
      threads: {
        alive: workers,
        created: workers,
        culled: 0,
        createFailed: 0,
        died: { error: 0, outOfMemory: 0, terminated: 0 },
      },
      cpuPools: Array.from({ length: pools }, (_, pool) => ({
        connections: 60,
        nrRunning: 1,
        nrActive: 1,
        slot: pool + 1,
        cpuTimeMs: 10_000,
        movedIn: 0,
        movedOut: 0,
      })),
    },
    worklists: Array.from({ length: pools }, (_, pool) => ({ waiting: 2 * pool, longestMs: 45 * pool })),
    workers: Array.from({ length: workers }, (_, i) => ({
      id: i + 1,
      tid: 5000 + i,
      state: i < pools ? 'onDuty' : 'idle',
      pool: i < pools ? i : null,
      holdsSlot: i < pools,
      connection: i < pools ? 9000 + i : null,
      started: 1000 - i,
      echoes: 1000 - i,
      cpuTimeMs: 5000 - i,
      sleepsIn: null,
      sleepsForMs: null,
    })),
    process: { cpuUserSeconds: 100, cpuSystemSeconds: 50, residentBytes: 87_000_000, descriptors: 250 },
    latency: { dispatch: histogram([0, 0, 0, 0, 10], 0.0001), echo: histogram([0, 0, 100], 0.0003) },
    events: [],
  };
}

/** A second later: worker i has started 10 * i more items. */
export function aSecondLater(status: ServerStatus): ServerStatus {
  const { stats, workers, process } = status;
  return {
    ...status,
    uptimeMs: status.uptimeMs + 1000,
    process: {
      ...process,
      cpuUserSeconds: process.cpuUserSeconds + 1,
      cpuSystemSeconds: process.cpuSystemSeconds + 0.5,
    },
    stats: {
      ...stats,
      echoes: stats.echoes + 12_345,
      bytesIn: stats.bytesIn + 2 * 2 ** 20,
      connections: { ...stats.connections, accepted: stats.connections.accepted + 5 },
      items: {
        ...stats.items,
        started: stats.items.started + 999,
        completed: stats.items.completed + 999,
        cmWakeup: stats.items.cmWakeup + 4,
        noticed: stats.items.noticed + 6,
      },
    },
    workers: workers.map((worker) => ({
      ...worker,
      started: worker.started + 10 * worker.id,
      echoes: worker.echoes + 10 * worker.id,
    })),
  };
}

export class FakeAdmin {
  /** Makes the response. */
  answer: () => unknown;
  /** Requests answered. */
  requests = 0;
  private server: Server | null = null;
  port = 0;

  constructor(answer: () => unknown) {
    this.answer = answer;
    onTestFinished(() => this.stop());
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Listens; after a stop, on the same port again. */
  async start(path?: string): Promise<this> {
    const server = createServer((_, response) => {
      this.requests++;
      response.end(JSON.stringify(this.answer()));
    });
    this.server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      if (path === undefined) server.listen(this.port, '127.0.0.1', resolve);
      else server.listen(path, resolve);
    });
    if (path === undefined) this.port = (server.address() as AddressInfo).port;
    return this;
  }

  async stop(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (server === null) return;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }
}
