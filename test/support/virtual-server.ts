/**
 * A server that does not exist: frames of ServerStatus for the dashboard, by a virtual clock and from a seed. It moves
 * as a busy server does (run slots are handed on, workers fall asleep, histograms grow, events happen), without one
 * thread.
 *
 * This file also runs inside the page, stripped of its types: it imports types only and knows nothing of Node.js.
 */
import type { ServerEvent, ServerStatus, WorkerStatus } from '../../src/schema/status.ts';

export interface VirtualOptions {
  strategy?: ServerStatus['stats']['strategy'];
  workers?: number;
  pools?: number;
  seed?: number;
}

const BUCKETS = 26;
const EVENTS_KEPT = 200;
const STATES = ['idle', 'onDuty', 'blocked', 'cpuIntensive', 'finishing', 'starting', 'retired'] as const;

export class VirtualServer {
  readonly strategy: ServerStatus['stats']['strategy'];
  pid = 1;
  uptimeMs = 0;
  state: ServerStatus['stats']['state'] = 'listening';
  echoes = 0;
  private readonly workerCount: number;
  private readonly slots: number[];
  private seed: number;
  private readonly events: ServerEvent[] = [];
  private lastSeq = 0;
  private workers: WorkerStatus[] = [];
  private readonly echo = new Array<number>(BUCKETS).fill(0);
  private readonly dispatch = new Array<number>(BUCKETS).fill(0);

  constructor({ strategy = 'cmwq', workers = 20, pools = 2, seed = 1 }: VirtualOptions = {}) {
    this.strategy = strategy;
    this.workerCount = workers;
    this.slots = new Array<number>(strategy === 'cmwq' ? pools : 0).fill(1);
    this.seed = seed;
    this.note('listening', { address: '127.0.0.1', port: 12345 });
    this.advance(0);
  }

  /** Another process behind the same address: all counters begin again. */
  restart(): void {
    this.pid++;
    this.uptimeMs = 0;
    this.echoes = 0;
    this.echo.fill(0);
    this.dispatch.fill(0);
  }

  note(kind: ServerEvent['kind'], detail: ServerEvent['detail']): void {
    this.events.push({ seq: ++this.lastSeq, atMs: this.uptimeMs, kind, detail });
    if (this.events.length > EVENTS_KEPT) this.events.shift();
  }

  advance(ms: number): void {
    this.uptimeMs += ms;
    const echoes = Math.round((ms / 1000) * (800 + this.below(400)));
    this.echoes += echoes;
    for (let i = 0; i < echoes; i += 64) this.countInto(this.echo, 6 + this.below(5));
    if (this.below(3) === 0) this.countInto(this.dispatch, 4 + this.below(4));
    for (const pool of this.slots.keys()) this.slots[pool] = 1 + this.below(this.workerCount);
    if (this.below(2) === 0) this.note('slotTaken', { worker: 1 + this.below(this.workerCount), pool: 0 });
    this.workers = Array.from({ length: this.workerCount }, (_, i) => this.worker(i + 1));
  }

  status(): ServerStatus {
    const { echoes, uptimeMs, workers } = this;
    const count = (state: WorkerStatus['state']) => workers.filter((worker) => worker.state === state).length;
    const isCmwq = this.strategy === 'cmwq';
    return {
      version: '0.1.0',
      pid: this.pid,
      node: 'v26.10.0',
      uptimeMs,
      snapshotAgeMs: 0,
      address: { address: '127.0.0.1', port: 12345 },
      limits: {
        maxConnections: 15_000,
        maxWorkers: 2046,
        maxActive: isCmwq ? 1024 : null,
        cpus: isCmwq ? this.slots.length : null,
        maxQueue: isCmwq ? null : 65_536,
        spillBuffers: 1024,
      },
      services: ['burn:1ms,sleep:20ms'],
      handler: null,
      stats: {
        state: this.state,
        strategy: this.strategy,
        connections: {
          accepted: 100 + Math.floor(uptimeMs / 1000),
          active: 40 + (echoes % 20),
          queued: isCmwq ? 0 : echoes % 90,
          lingering: 0,
          closed: {
            eof: Math.floor(uptimeMs / 1000),
            error: 3,
            keepalive: 0,
            userTimeout: 0,
            writeTimeout: 1,
            socketTimeout: 0,
            spillLimit: 0,
            cut: 0,
            workerDied: 0,
            handlerError: 0,
          },
          refused: {
            maxConnections: 2,
            maxPerAddress: 0,
            queueFull: 0,
            queueAge: 0,
            noThread: 0,
            descriptors: 0,
          },
        },
        bytesIn: echoes * 64,
        bytesOut: echoes * 64,
        echoes,
        items: {
          started: echoes + 5,
          completed: echoes,
          cmWakeup: Math.floor(echoes / 3),
          rescued: 0,
          cpuIntensive: Math.floor(echoes / 10),
          noticed: 0,
          mayday: 0,
          hung: 0,
          moved: 3 * this.slots.length,
        },
        spills: { total: 0, inUse: 0 },
        workers: {
          starting: count('starting'),
          idle: count('idle'),
          onDuty: count('onDuty'),
          blocked: count('blocked'),
          cpuIntensive: count('cpuIntensive'),
          finishing: count('finishing'),
        },
        threads: {
          alive: workers.length,
          created: workers.length + 7,
          culled: 7,
          createFailed: 0,
          died: { error: 0, outOfMemory: 0, terminated: 0 },
        },
        cpuPools: this.slots.map((slot, pool) => ({
          connections: 20 + pool,
          nrRunning: 1,
          nrActive: 3 + (pool % 5),
          slot: slot % 7 === 0 ? 'free' : slot,
          cpuTimeMs: uptimeMs / (4 + pool),
          movedIn: 3,
          movedOut: 3,
        })),
      },
      workers,
      worklists: this.slots.map((_, pool) => ({ waiting: (echoes + pool) % 40, longestMs: echoes % 90 })),
      process: {
        cpuUserSeconds: uptimeMs / 4000,
        cpuSystemSeconds: uptimeMs / 9000,
        residentBytes: 90_000_000 + (echoes % 1000) * 1000,
        descriptors: 120,
      },
      latency: { dispatch: this.histogram(this.dispatch), echo: this.histogram(this.echo) },
      events: [...this.events],
    };
  }

  private worker(id: number): WorkerStatus {
    const state = id === 4 ? 'rescuer' : (STATES[this.below(STATES.length)] ?? 'idle');
    const isAtWork = !['idle', 'starting', 'retired', 'rescuer'].includes(state);
    const pool = this.slots.length > 0 && isAtWork ? id % this.slots.length : null;
    const connection = isAtWork && this.below(3) > 0 ? id * 3 : null;
    return {
      id,
      tid: 5000 + id,
      state,
      pool,
      holdsSlot: pool !== null && this.slots[pool] === id,
      connection,
      started: this.echoes,
      echoes: this.echoes,
      cpuTimeMs: this.uptimeMs / (id + 9),
      sleepsIn: state === 'blocked' && connection !== null ? (id % 2 === 0 ? 'futex' : 'fsync') : null,
      sleepsForMs: state === 'blocked' && connection !== null ? 100 * id : null,
    };
  }

  private histogram(counts: readonly number[]): ServerStatus['latency']['echo'] {
    return {
      boundsSeconds: counts.slice(1).map((_, i) => 2 ** i / 1e6),
      counts: [...counts],
      count: counts.reduce((sum, value) => sum + value, 0),
      sumSeconds: 1,
    };
  }

  private countInto(counts: number[], bucket: number): void {
    counts[bucket] = (counts[bucket] ?? 0) + 1;
  }

  /** mulberry32. */
  private below(n: number): number {
    this.seed = (this.seed + 0x6d2b79f5) >>> 0;
    let t = Math.imul(this.seed ^ (this.seed >>> 15), this.seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  }
}
