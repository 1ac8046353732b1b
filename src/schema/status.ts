/**
 * Everything that a server shows of itself, as one schema: what GET /status.json answers, what `stats()` returns and
 * SIGUSR2 logs.
 *
 * Its types, the published status.schema.json (`npm run schemas`) and the check of `kecho-pool top` come from here. A
 * server uses the types only and loads none of this.
 */
import { z } from 'zod';
import { STRATEGIES } from '../options/types.ts';
import { count } from './json.ts';

/** Of time; need not be whole. */
const amount = z.number().min(0);

export const WorkerStates = z
  .object({
    starting: count,
    idle: count,
    onDuty: count.describe('Those between items included.'),
    blocked: count,
    cpuIntensive: count,
    finishing: count,
  })
  .describe('Workers by state.');
export type WorkerStates = z.infer<typeof WorkerStates>;

export const WorkerStatus = z
  .object({
    id: count,
    state: z.enum([...WorkerStates.keyof().options, 'retired', 'rescuer']),
    pool: count
      .nullable()
      .describe('The CPU pool it works for; null when idle, and under kthread and workqueue.'),
    holdsSlot: z.boolean().describe("Whether it holds that pool's run slot."),
    connection: count.nullable().describe('Number of the connection whose item it is in; null when in none.'),
    started: count.describe('Items begun, by all who have had this id.'),
    echoes: count,
  })
  .meta({ id: 'worker' });
export type WorkerStatus = z.infer<typeof WorkerStatus>;

export const CpuPoolStats = z
  .object({
    connections: count,
    nrRunning: count,
    nrActive: count.describe('Items begun and not finished; at most max_active.'),
    slot: z
      .union([z.enum(['free', 'main']), count])
      .describe('Worker that holds the run slot; main while the watchdog takes it from one.'),
  })
  .meta({ id: 'cpuPool' });
export type CpuPoolStats = z.infer<typeof CpuPoolStats>;

const Connections = z.object({
  accepted: count.describe(
    'Admitted since the start, to a thread or to the queue: active ones, closed ones, and those that were refused ' +
      'only after they had been admitted (refused.queueAge, refused.noThread). Never falls.',
  ),
  active: count.describe('Open now, those that wait for a thread and those that linger included.'),
  queued: count.describe('Waiting for a thread (kthread, workqueue).'),
  lingering: count.describe('Ended in order, and open until the peer has acknowledged its echo.'),
  closed: z
    .object({
      eof: count,
      error: count,
      keepalive: count.describe("The peer did not answer the kernel's keepalive probes."),
      userTimeout: count.describe(
        "The peer did not acknowledge what was sent to it (TCP_USER_TIMEOUT, or the system's own limit).",
      ),
      writeTimeout: count,
      socketTimeout: count,
      spillLimit: count,
      cut: count,
      workerDied: count,
    })
    .describe('Ended since the start, by reason.'),
  refused: z
    .object({
      maxConnections: count,
      maxPerAddress: count,
      queueFull: count.describe('No room to wait for a thread.'),
      queueAge: count.describe('Waited too long for a thread.'),
      noThread: count.describe('There is no thread, and none can be made.'),
      draining: count,
      descriptors: count.describe('No room for its descriptor, or no memory to watch it.'),
    })
    .describe('Refused since the start, by reason.'),
});

const Items = z
  .object({
    started: count,
    completed: count,
    cmWakeup: count.describe('Times a sleeping item made its worker kick another.'),
    rescued: count.describe('Items begun by the rescuer.'),
    cpuIntensive: count.describe('Items that the watchdog took out of the concurrency count.'),
    mayday: count.describe('Times the rescuer was called.'),
    hung: count.describe('Items longer than the hang timeout.'),
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
    echoes: count.describe('Received buffers that were echoed.'),
    items: Items,
    spills: z
      .object({ total: count, inUse: count })
      .describe('Echoes whose rest had to wait for the peer, and buffers in use for that now.'),
    workers: WorkerStates,
    threads: Threads,
    cpuPools: z.array(CpuPoolStats).describe('cmwq only.'),
  })
  .describe('Also what server.stats() returns.');
export type ServerStats = z.infer<typeof ServerStats>;
export type ServerState = ServerStats['state'];

export const HistogramStatus = z
  .object({
    boundsSeconds: z.array(amount).describe('Upper bounds, ascending; one more bucket takes the rest.'),
    counts: z.array(count).describe('Per bucket, not cumulative.'),
    count,
    sumSeconds: amount,
  })
  .meta({ id: 'histogram' });
export type HistogramStatus = z.infer<typeof HistogramStatus>;

export const ServerEvent = z
  .object({
    seq: count.describe('Counts from 1; a gap means that older ones are gone.'),
    atMs: amount.describe('Since the server was made.'),
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
    address: z
      .object({ address: z.string(), port: count })
      .nullable()
      .describe('Where it listens; null when it does not.'),
    limits: z.object({
      maxConnections: count,
      maxWorkers: count,
      maxActive: count.nullable().describe('cmwq only.'),
      cpus: count.nullable().describe('cmwq only.'),
      maxQueue: count.nullable().describe('kthread and workqueue only.'),
      spillBuffers: count,
    }),
    services: z.array(z.string()).describe('What handlers do before each echo.'),
    stats: ServerStats,
    workers: z.array(WorkerStatus).describe('Workers that have a thread, by id.'),
    process: z.object({
      cpuUserSeconds: amount,
      cpuSystemSeconds: amount,
      residentBytes: count.nullable().describe('Null when it cannot be read.'),
      descriptors: count.nullable().describe('Open descriptors; null when they cannot be counted.'),
    }),
    latency: z.object({ dispatch: HistogramStatus, echo: HistogramStatus }).describe('Sampled.'),
    events: z.array(ServerEvent).describe('The last ones, the oldest first.'),
  })
  .meta({
    title: 'kecho-pool status',
    description:
      'What GET /status.json of the admin endpoint answers, and the data of each event status of GET /events. ' +
      'Counters count from the start of the server.',
  });
export type ServerStatus = z.infer<typeof ServerStatus>;
