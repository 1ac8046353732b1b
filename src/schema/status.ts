/**
 * The schema of a server's status: the response of GET /status.json, the result of `stats()`, and the SIGUSR2 log line.
 *
 * The source of the TypeScript types, of the published status.schema.json (`npm run schemas`) and of the check in
 * `kecho-pool top`. A server imports only the types, so it does not load this module.
 */
import { z } from 'zod';
import { STRATEGIES } from '../options/types.ts';
import { count } from './json.ts';

/** A duration, not necessarily whole. */
const amount = z.number().min(0);

export const WorkerStates = z
  .object({
    starting: count,
    idle: count,
    onDuty: count.describe('In an item, or waiting for one with the run slot.'),
    blocked: count,
    cpuIntensive: count,
    finishing: count,
  })
  .describe('Workers by state.');
export type WorkerStates = z.infer<typeof WorkerStates>;

export const WorkerStatus = z
  .object({
    id: count,
    tid: count
      .nullable()
      .describe("The kernel's id of its thread (gettid(2), LWP in ps -L); null when unknown."),
    state: z.enum([...WorkerStates.keyof().options, 'retired', 'rescuer']),
    pool: count
      .nullable()
      .describe('CPU pool of the worker; null when idle, and under kthread and workqueue.'),
    holdsSlot: z.boolean().describe("Whether the worker holds that pool's run slot."),
    connection: count.nullable().describe('Number of the connection whose item it executes, if any.'),
    started: count.describe('Items started by all workers that have had this id.'),
    echoes: count,
    cpuTimeMs: amount.nullable().describe('CPU time of its thread; null when it cannot be read.'),
    sleepsIn: z
      .string()
      .nullable()
      .describe(
        'System call in which a worker sleeps in its item (futex, read, fsync). Null when it runs, is in no item, or ' +
          'when it cannot be read.',
      ),
    sleepsForMs: amount
      .nullable()
      .describe(
        'Time in that sleep: since its declaration; otherwise at least this long, from when an earlier status found ' +
          'it, and null if none has.',
      ),
  })
  .meta({ id: 'worker' });
export type WorkerStatus = z.infer<typeof WorkerStatus>;

export const CpuPoolStats = z
  .object({
    connections: count,
    nrRunning: count,
    nrActive: count.describe('Items in progress; at most max_active.'),
    slot: z
      .union([z.enum(['free', 'monitor']), count])
      .describe('Id of the worker that holds the run slot; monitor while the monitor takes it from one.'),
    cpuTimeMs: amount.describe('CPU time that workers used for the CPU pool.'),
    movedIn: count.describe('Connections moved in from other CPU pools, modulo 2^32.'),
    movedOut: count.describe('Connections moved out to other CPU pools, modulo 2^32.'),
  })
  .meta({ id: 'cpuPool' });
export type CpuPoolStats = z.infer<typeof CpuPoolStats>;

export const WorklistStatus = z
  .object({
    waiting: count.describe('Connections that are ready, in no item.'),
    longestMs: amount.describe('How long one of them has waited, at least: since its last bytes came.'),
  })
  .meta({ id: 'worklist' });
export type WorklistStatus = z.infer<typeof WorklistStatus>;

const Connections = z.object({
  accepted: count.describe(
    'Admitted since the start, to a thread or to the queue: active, closed, and refused after admission ' +
      '(refused.queueAge, refused.noThread). Never falls.',
  ),
  active: count.describe('Open now, including queued and lingering connections.'),
  queued: count.describe('Waiting for a thread (kthread, workqueue).'),
  lingering: count.describe('Shut down in order, and open until the peer has acknowledged all of the echo.'),
  closed: z
    .object({
      eof: count,
      error: count,
      keepalive: count.describe("The peer did not answer the kernel's keepalive probes."),
      userTimeout: count.describe(
        "The peer did not acknowledge sent data (TCP_USER_TIMEOUT, or the system's own limit).",
      ),
      writeTimeout: count,
      socketTimeout: count,
      spillLimit: count,
      cut: count,
      workerDied: count,
      handlerError: count.describe('The handler threw an exception, or returned a promise.'),
    })
    .describe('Closed since the start, by reason.'),
  refused: z
    .object({
      maxConnections: count,
      maxPerAddress: count,
      queueFull: count.describe('The queue for a thread was full.'),
      queueAge: count.describe('Waited in the queue beyond the limit.'),
      noThread: count.describe('There was no thread, and none could be created.'),
      descriptors: count.describe('No descriptor left, or no memory to watch it with epoll.'),
    })
    .describe('Refused since the start, by reason.'),
});

const Items = z
  .object({
    started: count,
    completed: count,
    cmWakeup: count.describe('Workers woken because an item slept.'),
    rescued: count.describe('Items started by the rescuer.'),
    cpuIntensive: count.describe('Items that the monitor excluded from the concurrency count.'),
    noticed: count.describe('Sleeps in items that the monitor found without a declaration.'),
    mayday: count.describe('Times the rescuer was called.'),
    hung: count.describe('Items that exceeded the hang timeout.'),
    moved: count.describe('Items whose connection moved to another CPU pool at their end.'),
  })
  .describe('Work items: a readiness of a connection under cmwq, a whole connection otherwise.');

const Threads = z.object({
  alive: count,
  created: count,
  culled: count,
  createFailed: count,
  died: z.object({ error: count, outOfMemory: count, terminated: count }).describe('By cause.'),
});

export const ServerStats = z
  .object({
    state: z.enum(['new', 'starting', 'listening', 'draining', 'stopped']),
    strategy: z.enum(STRATEGIES),
    connections: Connections,
    bytesIn: count.describe('Bytes received since the start.'),
    bytesOut: count.describe('Bytes sent since the start.'),
    echoes: count.describe('Received buffers: requests, each echoed unless its handler failed.'),
    items: Items,
    spills: z
      .object({ total: count, inUse: count })
      .describe('Echoes whose remainder had to wait for the peer, and buffers in use for that now.'),
    workers: WorkerStates,
    threads: Threads,
    cpuPools: z.array(CpuPoolStats).describe('cmwq only.'),
  })
  .describe('Also what server.stats() returns.');
export type ServerStats = z.infer<typeof ServerStats>;
export type ServerState = ServerStats['state'];

export const HistogramStatus = z
  .object({
    boundsSeconds: z.array(amount).describe('Upper bounds, ascending; one more bucket counts larger values.'),
    counts: z.array(count).describe('Per bucket, not cumulative.'),
    count,
    sumSeconds: amount,
  })
  .meta({ id: 'histogram' });
export type HistogramStatus = z.infer<typeof HistogramStatus>;

export const ServerEvent = z
  .object({
    seq: count.describe('Counts from 1; a gap means that older events were discarded.'),
    atMs: amount.describe('Time since the server was created.'),
    kind: z.string(),
    detail: z.record(z.string(), z.union([z.number(), z.string(), z.boolean()])),
  })
  .meta({ id: 'event' });
export type ServerEvent = z.infer<typeof ServerEvent>;

export const ServerStatus = z
  .object({
    version: z.string(),
    pid: count,
    node: z.string().describe('Version of Node.js.'),
    uptimeMs: amount,
    snapshotAgeMs: amount.describe(
      'Age of the figures that only the main thread has: all but those of workers, items, echoes, bytes, spills, CPU ' +
        'pools (without their CPU time), worklists and latencies. Grows while the main thread is busy; 0 from status().',
    ),
    address: z
      .object({ address: z.string(), port: count })
      .nullable()
      .describe('Listening address; null when not listening.'),
    limits: z.object({
      maxConnections: count,
      maxWorkers: count,
      maxActive: count.nullable().describe('cmwq only.'),
      cpus: count.nullable().describe('cmwq only.'),
      maxQueue: count.nullable().describe('kthread and workqueue only.'),
      spillBuffers: count,
    }),
    services: z.array(z.string()).describe('Work of the handlers before each echo.'),
    handler: z
      .string()
      .nullable()
      .describe('Module, and export after #, of the handler that runs before each echo.'),
    stats: ServerStats,
    workers: z.array(WorkerStatus).describe('Workers that have a thread, by id.'),
    worklists: z
      .array(WorklistStatus)
      .nullable()
      .describe('What waits for the CPU pools, by pool; null with more than 2,000 connections.'),
    process: z.object({
      cpuUserSeconds: amount.describe('Since the server was created, as all counters.'),
      cpuSystemSeconds: amount.describe('Since then, too.'),
      residentBytes: count.nullable().describe('Null when it cannot be read.'),
      descriptors: count.nullable().describe('Open descriptors; null when they cannot be counted.'),
    }),
    latency: z.object({ dispatch: HistogramStatus, echo: HistogramStatus }).describe('Sampled.'),
    events: z.array(ServerEvent).describe('The most recent ones, oldest first.'),
  })
  .meta({
    title: 'kecho-pool status',
    description:
      'The response of GET /status.json of the admin endpoint, and the data of each status event of GET /events. ' +
      'Counters count from the start of the server.',
  });
export type ServerStatus = z.infer<typeof ServerStatus>;
