/**
 * The table of metrics: name, help text, and how each is read from a status. Pure.
 *
 * Base units only (seconds, bytes). Counters count from the server's start and never fall.
 */
import type { HistogramStatus, ServerStatus, WorklistStatus } from '../schema/status.ts';

/** The endpoint's threads since its start: one at a time. */
export interface AdminThreads {
  created: number;
  died: ServerStatus['stats']['threads']['died'];
}

/** The admin endpoint's own figures; those of clients count from the start of its thread. */
export interface AdminFigures {
  threads: AdminThreads;
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
type Values = (status: ServerStatus, admin: AdminFigures) => Record<string, number>;

/** A series with one sample, or no sample when the value is null. */
function single(type: Series['type'], name: string, help: string, value: Value): Series {
  const read = (status: ServerStatus, admin: AdminFigures) => {
    const found = value(status, admin);
    return found === null ? [] : [{ value: found }];
  };
  return { type, name: PREFIX + name, help, read };
}

const counter = (name: string, help: string, value: Value) => single('counter', name, help, value);
const gauge = (name: string, help: string, value: Value) => single('gauge', name, help, value);

/** One sample per value of `label`. */
function labelled(type: Series['type'], name: string, label: string, help: string, values: Values): Series {
  const read = (status: ServerStatus, admin: AdminFigures) =>
    Object.entries(values(status, admin)).map(([key, value]) => ({ labels: { [label]: key }, value }));
  return { type, name: PREFIX + name, help, label, read };
}

/** One sample per CPU pool, labelled with its index. */
function perCpuPool(
  type: Series['type'],
  name: string,
  help: string,
  value: (pool: ServerStatus['stats']['cpuPools'][number]) => number,
): Series {
  return labelled(type, `cpu_pool_${name}`, 'pool', help, ({ stats }) =>
    Object.fromEntries(stats.cpuPools.map((pool, i) => [i, value(pool)])),
  );
}

/** The same, of what waits in its worklist. */
function perWorklist(name: string, help: string, value: (worklist: WorklistStatus) => number): Series {
  return labelled('gauge', `cpu_pool_${name}`, 'pool', help, ({ worklists }) =>
    Object.fromEntries((worklists ?? []).map((worklist, i) => [i, value(worklist)])),
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
    help: 'Always 1; the labels name version, Node.js and strategy.',
    label: ['version', 'node', 'strategy'],
    read: ({ version, node, stats }) => [{ labels: { version, node, strategy: stats.strategy }, value: 1 }],
  },
  labelled('gauge', 'state', 'state', "1 for the server's current state, 0 for the others.", (status) =>
    Object.fromEntries(STATES.map((state) => [state, state === status.stats.state ? 1 : 0])),
  ),
  gauge('uptime_seconds', 'Time since the server was created.', (s) => s.uptimeMs / 1000),

  counter(
    'connections_accepted_total',
    'Connections admitted, including those refused later while queued.',
    (s) => s.stats.connections.accepted,
  ),
  labelled(
    'counter',
    'connections_closed_total',
    'reason',
    'Connections closed, by reason.',
    (s) => s.stats.connections.closed,
  ),
  labelled(
    'counter',
    'connections_refused_total',
    'reason',
    'Connections refused after accept(), by reason.',
    (s) => s.stats.connections.refused,
  ),
  gauge('connections_open', 'Open connections, including those that wait for a thread.', (s) => {
    return s.stats.connections.active;
  }),
  gauge('connections_queued', 'Connections that wait for a thread (kthread, workqueue).', (s) => {
    return s.stats.connections.queued;
  }),
  gauge(
    'connections_lingering',
    'Connections shut down in order whose peers have not acknowledged all of the echo.',
    (s) => {
      return s.stats.connections.lingering;
    },
  ),

  counter(
    'echoes_total',
    'Received buffers: requests, each echoed unless its handler failed.',
    (s) => s.stats.echoes,
  ),
  counter('received_bytes_total', 'Bytes received.', (s) => s.stats.bytesIn),
  counter('sent_bytes_total', 'Bytes sent.', (s) => s.stats.bytesOut),
  counter('spills_total', 'Echoes whose remainder had to wait for the peer.', (s) => s.stats.spills.total),
  gauge('spill_buffers_used', 'Buffers that hold such a remainder.', (s) => s.stats.spills.inUse),

  counter('items_started_total', 'Work items started.', (s) => s.stats.items.started),
  counter('items_completed_total', 'Work items completed.', (s) => s.stats.items.completed),
  counter('items_cpu_intensive_total', 'Items excluded from the concurrency count (cpu_intensive).', (s) => {
    return s.stats.items.cpuIntensive;
  }),
  counter('items_hung_total', 'Items that took longer than the hang timeout.', (s) => s.stats.items.hung),
  counter('items_rescued_total', 'Items started by the rescuer.', (s) => s.stats.items.rescued),
  counter('items_noticed_total', 'Sleeps in items that the monitor found without a declaration.', (s) => {
    return s.stats.items.noticed;
  }),
  counter('wakeups_total', 'Workers woken because an item slept (cm_wakeup).', (s) => {
    return s.stats.items.cmWakeup;
  }),
  counter('items_moved_total', 'Items whose connection moved to another CPU pool at their end.', (s) => {
    return s.stats.items.moved;
  }),
  counter('maydays_total', 'Times the rescuer was called.', (s) => s.stats.items.mayday),

  labelled('gauge', 'workers', 'state', 'Workers that have a thread, by state.', workersByState),
  gauge('threads', 'Threads alive.', (s) => s.stats.threads.alive),
  counter('threads_created_total', 'Threads created.', (s) => s.stats.threads.created),
  counter('threads_culled_total', 'Surplus threads ended.', (s) => s.stats.threads.culled),
  counter('threads_failed_total', 'Failed thread creations.', (s) => s.stats.threads.createFailed),
  labelled(
    'counter',
    'threads_died_total',
    'cause',
    'Threads that ended unexpectedly, by cause.',
    (s) => s.stats.threads.died,
  ),

  perCpuPool('gauge', 'connections', 'Connections of the CPU pool (cmwq).', (pool) => pool.connections),
  perCpuPool('gauge', 'running', 'Running workers of the CPU pool (nr_running).', (pool) => {
    return pool.nrRunning;
  }),
  perCpuPool('gauge', 'active', 'Items in progress in the CPU pool (nr_active).', (pool) => pool.nrActive),
  perCpuPool(
    'gauge',
    'slot_held',
    '1 while the run slot of the CPU pool is held, 0 while it is free.',
    (pool) => (pool.slot === 'free' ? 0 : 1),
  ),
  perWorklist('waiting', 'Connections that are ready and wait in the worklist.', ({ waiting }) => waiting),
  perWorklist('longest_wait_seconds', 'How long one of them has waited, at least.', ({ longestMs }) => {
    return longestMs / 1000;
  }),
  perCpuPool('counter', 'cpu_seconds_total', 'CPU time that workers used for the CPU pool.', (pool) => {
    return pool.cpuTimeMs / 1000;
  }),
  perCpuPool(
    'counter',
    'moved_in_total',
    'Connections moved in from other CPU pools.',
    (pool) => pool.movedIn,
  ),
  perCpuPool(
    'counter',
    'moved_out_total',
    'Connections moved out to other CPU pools.',
    (pool) => pool.movedOut,
  ),

  gauge('max_connections', 'Maximum connections.', (s) => s.limits.maxConnections),
  gauge('max_workers', 'Maximum threads.', (s) => s.limits.maxWorkers),
  gauge('max_active', 'Maximum items in progress per CPU pool (cmwq).', (s) => s.limits.maxActive),
  gauge('max_queued', 'Maximum connections that wait for a thread (kthread, workqueue).', (s) => {
    return s.limits.maxQueue;
  }),
  gauge('spill_buffers', 'Buffers for echoes that peers do not read.', (s) => s.limits.spillBuffers),

  labelled(
    'counter',
    'process_cpu_seconds_total',
    'mode',
    'CPU time of the process since the server was created.',
    (s) => ({
      user: s.process.cpuUserSeconds,
      system: s.process.cpuSystemSeconds,
    }),
  ),
  gauge('process_resident_memory_bytes', 'Resident memory of the process.', (s) => s.process.residentBytes),
  gauge('process_open_fds', 'Open file descriptors of the process.', (s) => s.process.descriptors),

  gauge('snapshot_age_seconds', 'Age of the figures that only the main thread has.', (s) => {
    return s.snapshotAgeMs / 1000;
  }),
  counter('admin_threads_created_total', 'Threads created for the admin endpoint.', (_, admin) => {
    return admin.threads.created;
  }),
  labelled(
    'counter',
    'admin_threads_died_total',
    'cause',
    'Threads of the admin endpoint that ended unexpectedly, by cause.',
    (_, admin) => ({ ...admin.threads.died }),
  ),
  gauge('admin_watchers', 'Clients of /events.', (_, admin) => admin.watchers),
  counter('admin_frames_sent_total', 'Frames sent to clients of /events.', (_, admin) => admin.framesSent),
  counter('admin_frames_lost_total', 'Frames that slow clients of /events missed.', (_, admin) => {
    return admin.framesLost;
  }),
  counter(
    'admin_connections_dropped_total',
    'Connections to the admin endpoint beyond its limit.',
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
    help: 'From accept() until a worker starts on the connection. Sampled.',
    read: ({ latency }) => latency.dispatch,
  },
  {
    name: `${PREFIX}echo_latency_seconds`,
    help: 'From receiving a request until it is sent back, including the service. Sampled.',
    read: ({ latency }) => latency.echo,
  },
];
