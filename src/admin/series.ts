/**
 * The table of metrics: name, meaning, and where in a status the values stand. Pure.
 *
 * Units are the base units: seconds and bytes. Counters count from the start of the server and never fall.
 */
import type { HistogramStatus, ServerStatus } from '../schema/status.ts';

/** What the admin endpoint knows of itself. */
export interface AdminFigures {
  watchers: number;
  framesSent: number;
  framesLost: number;
  connectionsDropped: number;
}

export interface Sample {
  labels?: Record<string, string>;
  value: number;
}

export interface Series {
  type: 'counter' | 'gauge';
  name: string;
  help: string;
  label?: string | string[];
  read: (status: ServerStatus, admin: AdminFigures) => Sample[];
}

const PREFIX = 'kecho_pool_';
const STATES = ['new', 'starting', 'listening', 'draining', 'stopped'] as const;

type Value = (status: ServerStatus, admin: AdminFigures) => number | null;
type Values = (status: ServerStatus) => Record<string, number>;

/** One value; none when it is null. */
function single(type: Series['type'], name: string, help: string, value: Value): Series {
  const read = (status: ServerStatus, admin: AdminFigures) => {
    const found = value(status, admin);
    return found === null ? [] : [{ value: found }];
  };
  return { type, name: PREFIX + name, help, read };
}

const counter = (name: string, help: string, value: Value) => single('counter', name, help, value);
const gauge = (name: string, help: string, value: Value) => single('gauge', name, help, value);

/** A value for each value of one label. */
function labelled(type: Series['type'], name: string, label: string, help: string, values: Values): Series {
  const read = (status: ServerStatus) =>
    Object.entries(values(status)).map(([key, value]) => ({ labels: { [label]: key }, value }));
  return { type, name: PREFIX + name, help, label, read };
}

/** A value for each CPU pool, by its index. */
function perCpuPool(
  name: string,
  help: string,
  value: (pool: ServerStatus['stats']['cpuPools'][number]) => number,
): Series {
  return labelled('gauge', `cpu_pool_${name}`, 'pool', help, ({ stats }) =>
    Object.fromEntries(stats.cpuPools.map((pool, i) => [i, value(pool)])),
  );
}

function workersByState({ workers }: ServerStatus): Record<string, number> {
  const counts: Record<ServerStatus['workers'][number]['state'], number> = {
    starting: 0,
    idle: 0,
    onDuty: 0,
    blocked: 0,
    cpuIntensive: 0,
    finishing: 0,
    retired: 0,
    rescuer: 0,
  };
  for (const { state } of workers) counts[state]++;
  return counts;
}

export const SERIES: readonly Series[] = [
  {
    type: 'gauge',
    name: `${PREFIX}info`,
    help: 'Always 1; the labels say what runs.',
    label: ['version', 'node', 'strategy'],
    read: ({ version, node, stats }) => [{ labels: { version, node, strategy: stats.strategy }, value: 1 }],
  },
  labelled('gauge', 'state', 'state', '1 for the state that the server is in, 0 for the others.', (status) =>
    Object.fromEntries(STATES.map((state) => [state, state === status.stats.state ? 1 : 0])),
  ),
  gauge('uptime_seconds', 'Time since the server was made.', (s) => s.uptimeMs / 1000),

  counter(
    'connections_accepted_total',
    'Connections admitted, also those refused later for waiting.',
    (s) => s.stats.connections.accepted,
  ),
  labelled(
    'counter',
    'connections_closed_total',
    'reason',
    'Connections ended, by reason.',
    (s) => s.stats.connections.closed,
  ),
  labelled(
    'counter',
    'connections_refused_total',
    'reason',
    'Connections refused after their accept, by reason.',
    (s) => s.stats.connections.refused,
  ),
  gauge('connections_open', 'Connections open, those that wait for a thread included.', (s) => {
    return s.stats.connections.active;
  }),
  gauge('connections_queued', 'Connections that wait for a thread (kthread, workqueue).', (s) => {
    return s.stats.connections.queued;
  }),
  gauge(
    'connections_lingering',
    'Connections ended in order whose peers have not acknowledged all of the echo.',
    (s) => {
      return s.stats.connections.lingering;
    },
  ),

  counter('echoes_total', 'Received buffers that were echoed.', (s) => s.stats.echoes),
  counter('received_bytes_total', 'Bytes received.', (s) => s.stats.bytesIn),
  counter('sent_bytes_total', 'Bytes sent.', (s) => s.stats.bytesOut),
  counter('spills_total', 'Echoes whose rest had to wait for the peer.', (s) => s.stats.spills.total),
  gauge('spill_buffers_used', 'Buffers that hold such a rest.', (s) => s.stats.spills.inUse),

  counter('items_started_total', 'Work items begun.', (s) => s.stats.items.started),
  counter('items_completed_total', 'Work items completed.', (s) => s.stats.items.completed),
  counter('items_cpu_intensive_total', 'Items that the watchdog took out of the concurrency count.', (s) => {
    return s.stats.items.cpuIntensive;
  }),
  counter('items_hung_total', 'Items that took longer than the hang timeout.', (s) => s.stats.items.hung),
  counter('items_rescued_total', 'Items begun by the rescuer.', (s) => s.stats.items.rescued),
  counter('wakeups_total', 'Times that a sleeping item made its worker kick another (cm_wakeup).', (s) => {
    return s.stats.items.cmWakeup;
  }),
  counter('maydays_total', 'Times the rescuer was called.', (s) => s.stats.items.mayday),

  labelled('gauge', 'workers', 'state', 'Workers that have a thread, by state.', workersByState),
  gauge('threads', 'Threads alive.', (s) => s.stats.threads.alive),
  counter('threads_created_total', 'Threads made.', (s) => s.stats.threads.created),
  counter('threads_culled_total', 'Threads ended because they were too many.', (s) => s.stats.threads.culled),
  counter('threads_failed_total', 'Threads that could not be made.', (s) => s.stats.threads.createFailed),
  labelled(
    'counter',
    'threads_died_total',
    'cause',
    'Threads that ended and should not have, by cause.',
    (s) => s.stats.threads.died,
  ),

  perCpuPool('connections', 'Connections of the CPU pool (cmwq).', (pool) => pool.connections),
  perCpuPool('running', 'Workers of the CPU pool that count as running (nr_running).', (pool) => {
    return pool.nrRunning;
  }),
  perCpuPool('active', 'Items of the CPU pool begun and not finished (nr_active).', (pool) => pool.nrActive),
  perCpuPool('slot_held', '1 while the run slot of the CPU pool is held, 0 while it is free.', (pool) =>
    pool.slot === 'free' ? 0 : 1,
  ),

  gauge('max_connections', 'Most connections at a time.', (s) => s.limits.maxConnections),
  gauge('max_workers', 'Most threads.', (s) => s.limits.maxWorkers),
  gauge('max_active', 'Most begun and unfinished items of a CPU pool (cmwq).', (s) => s.limits.maxActive),
  gauge('max_queued', 'Most connections that wait for a thread (kthread, workqueue).', (s) => {
    return s.limits.maxQueue;
  }),
  gauge('spill_buffers', 'Buffers for echoes that peers do not take.', (s) => s.limits.spillBuffers),

  labelled('counter', 'process_cpu_seconds_total', 'mode', 'Processor time of the process.', (s) => ({
    user: s.process.cpuUserSeconds,
    system: s.process.cpuSystemSeconds,
  })),
  gauge('process_resident_memory_bytes', 'Resident memory of the process.', (s) => s.process.residentBytes),
  gauge('process_open_fds', 'Open file descriptors of the process.', (s) => s.process.descriptors),

  gauge('admin_watchers', 'Clients of /events.', (_, admin) => admin.watchers),
  counter('admin_frames_sent_total', 'Frames sent to clients of /events.', (_, admin) => admin.framesSent),
  counter('admin_frames_lost_total', 'Frames that clients of /events were too slow for.', (_, admin) => {
    return admin.framesLost;
  }),
  counter(
    'admin_connections_dropped_total',
    'Connections to the admin endpoint above its limit.',
    (_, admin) => {
      return admin.connectionsDropped;
    },
  ),
];

export const HISTOGRAMS: readonly {
  name: string;
  help: string;
  read: (status: ServerStatus) => HistogramStatus;
}[] = [
  {
    name: `${PREFIX}dispatch_latency_seconds`,
    help: 'From the accept until a worker begins with the connection. Sampled.',
    read: ({ latency }) => latency.dispatch,
  },
  {
    name: `${PREFIX}echo_latency_seconds`,
    help: 'From a request received until it is sent back, the service included. Sampled.',
    read: ({ latency }) => latency.echo,
  },
];
