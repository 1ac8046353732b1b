/**
 * Every word that main and the workers share, and which threads may write it.
 *
 * Main creates one SharedState before the first worker starts and passes it to every worker as `workerData`.
 * It owns no descriptor and no thread. The protocols on these words are in run-slot.ts, kick.ts, completions.ts and
 * spill.ts.
 *
 * Access letters, as in kernel/workqueue.c:
 *
 *   I  set before the workers start, constant afterwards
 *   M  main writes; a worker's read may be stale
 *   W  its worker writes; other threads' reads may be stale
 *   S  the holder of the connection's item writes (the slot's holder, or a worker that left the slot in it); of a
 *      CPU pool: the holder of any of its items
 *   C  any thread, by compare-and-swap or atomic add
 *
 * Doubles are written without Atomics by one thread at a time and are exact up to 2^53; another thread may read an
 * older value, never a torn one (aligned 64-bit stores on 64-bit machines).
 */

/** A descriptor has 20 bits, since it shares an Int32 with a worker id. */
export const FD_BITS = 20;
export const MAX_FD = (1 << FD_BITS) - 1;
/** Worker ids are 1..2046; 2047 in a run slot is the monitor, seizing it. */
export const MONITOR_ID = 2047;
export const MAX_WORKER_ID = MONITOR_ID - 1;

const LINE_WORDS = 16; // 64 bytes, a cache line
const LINE_DOUBLES = 8;

// ---- Global words, each on its own line ---------------------------------------------------------
/** M  1 once the server stops; workers leave their loops. */
export const STOP = 0;
/** C  Whether main has been rung, sleeps until it is, or rests (RUNG, SLEEPING, RESTING of completions.ts). */
export const BELL = 1 * LINE_WORDS;
/** C  Head of the list of finished connections: a descriptor, 0 = empty (completions.ts). */
export const DONE_HEAD = 2 * LINE_WORDS;
/** C  Spill buffers in use; may exceed the limit by the reserve buffers. */
export const SPILLS_USED = 3 * LINE_WORDS;
/** C  Highest worker id ever claimed, which bounds the scans over workers; only grows. */
export const WORKERS_HIGH = 4 * LINE_WORDS;
/** C  1 since a kick found no idle worker; the next one that goes idle resets it and kicks every CPU pool (kick.ts). */
export const NO_IDLE = WORKERS_HIGH + 1;
/** C  1 while the monitor looks at items; at 0 a worker that begins an item sets it and wakes the monitor (monitor.ts). */
export const MONITOR = 5 * LINE_WORDS;
/** I  Maximum items in progress per CPU pool (max_active). */
export const MAX_ACTIVE = 6 * LINE_WORDS;
/** I  1 when workers report each echo and step (log level trace). */
export const TRACE = MAX_ACTIVE + 1;
/** W  Worker id of the rescuer, 0 until it has started. */
export const RESCUER_ID = MAX_ACTIVE + 2;
/** M  1 = mayday: the rescuer must look for CPU pools without a worker; it resets the word (C). */
export const MAYDAY = MAX_ACTIVE + 3;
/** M  Changes at each check of main; 0 = many echoes since the last one, so few are measured (latency.ts). */
export const FEW_ECHOES = MAX_ACTIVE + 4;
/** M  Highest descriptor that a connection has had. */
export const CONNECTIONS_HIGH = MAX_ACTIVE + 5;
// Doubles and a word of the monitor. It writes them all, and only it (letter W).
/** W  Items that it noticed asleep. */
export const NOTICED = 7 * LINE_DOUBLES;
/** W  Times it kicked a worker because of such an item (PWQ_STAT_CM_WAKEUP). */
export const NOTICED_WAKEUPS = NOTICED + 1;
/** W  Items that it took out of the concurrency count (PWQ_STAT_CPU_INTENSIVE). */
export const CPU_INTENSIVE = NOTICED + 2;
/** W  Worker whose slot it is seizing; written before the slot. Main also reads it after the monitor's death. */
export const SEIZED_FROM = 7 * LINE_WORDS + 6;
/** C  A bit for each worker id, which only that worker changes: set at least while its STATE is Idle (kick.ts). */
export const IDLE_BITS = 8 * LINE_WORDS;
const GLOBAL_LINES = 8 + (MONITOR_ID + 1) / 32 / LINE_WORDS;

// ---- Words of a CPU pool, one line each ---------------------------------------------------------
/** C  The run slot: 0 free, else its holder's id with its item or the number of its grant; see run-slot.ts. */
export const RUN_SLOT = 0;
/** C  Items in progress whose workers have left the slot. */
export const NR_UNSLOTTED = 1;
/** C  Of these, the ones that count as running: neither blocked nor CPU-intensive. */
export const NR_OVERSHOOT = 2;
/** C  Connections in this CPU pool, from their accept or move until main has collected them or they move on (move.ts). */
export const CONNECTIONS = 3;
/** I  The worklist's epoll descriptor. */
export const EPOLL_FD = 4;
/** I  The eventfd in the worklist that wakes the worker on duty for a stop. */
export const WAKE_FD = 5;
/** C  Grants of the slot so far, modulo 2^32; the low bits number a grant. */
export const GRANTS = 6;
/** C  64 bits: CPU time of the workers' duties for the pool that have ended, in us (cpu-time.ts). */
export const CPU_TIME_US = 4;
// After that (words 8 and 9), words again.
/** C  Connections moved in from other CPU pools, modulo 2^32. */
export const MOVED_IN = 10;
/** C  Connections moved out to other CPU pools, modulo 2^32. */
export const MOVED_OUT = 11;
// Advice for moves, see balance.ts: two threads may write it at a time, and a lost write costs nothing but time.
/** S  A CPU pool, from 1, that may take over a connection; 0 = none. */
export const WATCHED = 12;
/** S  Since when it has been watched, in ms of the monotonic clock, modulo 2^32. */
export const WATCHED_SINCE_MS = 13;
/** S  By how much it has had less to do than this one, summed over the looks since then. */
export const WATCHED_SURPLUS = 14;
/** S  When a worker last decided to move a connection in, in ms as above. */
export const TAKEN_MS = 15;
// Joined: nr_running = (fd of the slot != 0 ? 1 : 0) + NR_OVERSHOOT.
// Joined: items in progress = (fd of the slot != 0 ? 1 : 0) + NR_UNSLOTTED <= MAX_ACTIVE.
// Joined: NR_OVERSHOOT <= NR_UNSLOTTED <= CONNECTIONS, except within a transition.

// ---- Words of a worker, three lines each --------------------------------------------------------
/** C  Its WorkerState, with the CPU pool in the bits from POOL_SHIFT on. Idle workers sleep on it. */
export const STATE = 0;
/** C  threadId of the thread that has claimed this id, 0 = none. Main clears it after the thread's exit. */
export const THREAD_ID = 1;
/** W  Descriptor of its current item, 0 = none. Main reads it after the thread's death. */
export const ITEM_FD = 2;
/** W  Number of its kworker task; never reused. Main negates it after the thread's exit, before the id is free. */
export const TASK = 3;
// Doubles of a worker, from byte 16 on. The counters are never reset, also not when the id is claimed again.
/** W  When it became idle, by the monotonic clock (process.hrtime). */
export const IDLE_SINCE_MS = 2;
/** W  CONN_ID of its current item: main checks by it whether ITEM_FD is still that connection. */
export const ITEM_ID = 3;
/** W  Items begun (PWQ_STAT_STARTED). */
export const STARTED = 4;
/** W  Items finished (PWQ_STAT_COMPLETED). */
export const COMPLETED = 5;
/** W  Echoes: received buffers that were sent back or spilled. */
export const ECHOES = 6;
/** W  Bytes received. */
export const BYTES_IN = 7;
/** W  Bytes sent. */
export const BYTES_OUT = 8;
/** W  Times it kicked another worker because its item slept (PWQ_STAT_CM_WAKEUP). */
export const CM_WAKEUP = 9;
/** W  Echoes whose rest was spilled. */
export const SPILLS = 10;
/** W  Items begun as the rescuer (PWQ_STAT_RESCUED). */
export const RESCUED = 11;
// After four words (24 to 27):
/** W  Since when it sleeps as it has declared, by the monotonic clock; 0 = it does not, or has not declared it. */
export const SLEEPS_SINCE_MS = 14;
/** W  Its CPU time from which its duty for a CPU pool counts (cpu-time.ts); 0 = not on duty. */
export const DUTY_CPU_MS = 15;
// Words again, between the doubles.
/** C  Trace lines posted to main and not yet logged (workers/trace.ts); a new thread resets it to 0. */
export const TRACES_POSTED = 24;
/** C  Trace lines dropped and not yet reported in the log. */
export const TRACES_LOST = 25;
/** M  1 while main is about to terminate this worker's thread in its current item (ending.ts). */
export const ENDING = 26;
/** W  The kernel's id of its thread (gettid(2)), by which other threads find its clock and its state; 0 = unknown. */
export const TID = 27;
// And after the last double.
/** C  Workers that, about to sleep, have bound this one to their processor (workers/affine-wake.ts). */
export const BOUND = 32;
const WORKER_LINES = 3;

export const WorkerState = {
  /** No thread has this id, or its thread has ended. */
  Free: 0,
  /** Claimed; the thread is loading. */
  Starting: 1,
  /** Sleeps on its STATE word; may be kicked. */
  Idle: 2,
  /** Holds the run slot of a CPU pool, or is about to. Under kthread and workqueue: serves a connection. */
  OnDuty: 3,
  /** Sleeps inside an item, out of the slot, as it has declared. */
  Blocked: 4,
  /** Out of the concurrency count until its item ends (CPU_INTENSIVE). */
  CpuIntensive: 5,
  /** Awake again inside an item without the slot: counted in NR_OVERSHOOT. */
  Finishing: 6,
  /** Culled, or asked to exit by a stop. */
  Retired: 7,
  /** The rescuer, waiting for a mayday. Never kicked. */
  Rescuer: 8,
  /** Like Blocked, but the monitor has found it asleep. */
  Noticed: 9,
} as const;
export type WorkerState = (typeof WorkerState)[keyof typeof WorkerState];
export const POOL_SHIFT = 8;

// ---- Words of a connection, one line each, indexed by its descriptor -----------------------------
/** C  Next descriptor in the list of finished connections, 0 = last. */
export const NEXT = 0;
/** S  Its Outcome once it has ended (completions.ts). */
export const REASON = 1;
/** S  Number, from 1, of the spill buffer with its unsent rest; 0 = none; -1 = none, but it waits for room to send. */
export const SPILL = 2;
/** S  First unsent byte in the spill buffer. */
export const SPILL_START = 3;
/** S  End of the unsent bytes in the spill buffer. */
export const SPILL_END = 4;
/** M  Index of its service in SharedConfig.services, set before it is dispatched. */
export const SERVICE = 5;
/** S  kthread, workqueue: 1 once a thread serves it. */
export const SERVING = 6;
/** S  cmwq: its CPU pool, and how often it has been put into a worklist (move.ts); main sets it before it is dispatched. */
export const POOL = 6;
/** M  When it was accepted, as momentUs() of latency.ts, 0 = not measured; S resets it when its service begins. */
export const ACCEPTED_US = 7;
// Doubles of a connection.
/** S  Bytes received from it. */
export const CONN_BYTES_IN = 4;
/** S  Bytes sent to it. */
export const CONN_BYTES_OUT = 5;
/** S  Echoes. */
export const CONN_ECHOES = 6;
/** M  Its number in the order of acceptance, from 1; never reused, unlike the descriptor. */
export const CONN_ID = 7;

export const CloseReason = {
  Open: 0,
  /** The peer sent FIN and has received all echoes. */
  Eof: 1,
  /** recv or send failed; REASON has the errno. */
  Error: 2,
  /** No spill buffer was free for its unsent rest. */
  SpillLimit: 3,
  /** Closed at the end of the drain. */
  Cut: 4,
  /** Its worker died in its item. */
  WorkerDied: 5,
  /** The operator's handler threw, or returned a promise. */
  HandlerError: 6,
} as const;
export type CloseReason = (typeof CloseReason)[keyof typeof CloseReason];

// ---- Words of a spill buffer, indexed by its number from 1, and of their list --------------------
/** S  Descriptor of its last holder. */
export const SPILL_OWNER = 0;
/** C  Number of the next free buffer, 0 = last; written before this one becomes the head of the list. */
export const SPILL_NEXT = 1;
/** S  Double: when it was taken, by the monotonic clock. */
export const SPILL_SINCE_MS = 1;
const SPILL_WORDS = 4;
/** C  64 bits: the change count of the free list, and the number of its first buffer (spill.ts). */
export const SPILL_FREE = 0;

// ---- Latency histograms, two per worker, see latency.ts ------------------------------------------
/** Doubles of a histogram, four lines: W counts per bucket, then W their sum in microseconds. */
export const HISTOGRAM_DOUBLES = 4 * LINE_DOUBLES;
export const HISTOGRAMS = 2;

/** Size of an echo buffer, and so of a spill: the most that one echo can leave unsent. */
export const BUFFER_BYTES = 65536;

export interface ServiceStep {
  kind: 'burn' | 'sleep';
  durationMs: number;
}

/** What a handler does before each echo; its syntax is in src/options/service-spec.ts. */
export interface ServiceSpec {
  /** Not in the concurrency count, from its start (WQ_CPU_INTENSIVE). */
  cpuIntensive: boolean;
  steps: ServiceStep[];
}

/** The module and export of an operator's handler, as in the option `handler`. */
export interface HandlerSpec {
  /** Absolute. */
  path: string;
  exportName: string;
  /** Heap limit of a thread; absent: V8's own. */
  heapBytes?: number;
}

/** Code of the error of a thread whose handler cannot be loaded or set up. */
export const HANDLER_FAILED = 'ERR_HANDLER_FAILED';

export interface SharedConfig {
  /** CPU pools; 0 under kthread and workqueue. */
  cpus: number;
  /** Largest worker id, 1..2046. */
  workers: number;
  /** Descriptors are below this. */
  fdLimit: number;
  /** Spill buffers of BUFFER_BYTES, without the reserve of one per CPU pool. */
  spills: number;
  /** What handlers do before an echo, indexed by a connection's SERVICE word. Empty: nothing. */
  services?: readonly ServiceSpec[];
  /** The operator's handler, in place of services. */
  handler?: HandlerSpec;
  /** Whether connections move between CPU pools (system, the default) or stay where they were placed (cpu). */
  affinityScope?: 'system' | 'cpu';
}

/** Whether items do more than echo, so that they may compute or sleep for long. */
export function runsHandlers(config: { services?: readonly unknown[]; handler?: unknown }): boolean {
  return config.handler !== undefined || (config.services ?? []).length > 0;
}

/** The raw memory, as passed to a worker. */
export interface SharedBuffers {
  config: SharedConfig;
  control: SharedArrayBuffer;
  connections: SharedArrayBuffer;
  spillList: SharedArrayBuffer;
  spills: SharedArrayBuffer;
  latency: SharedArrayBuffer;
}

/** Passed to a worker. */
export interface WorkerData extends SharedBuffers {
  /** See koffiFile() in libc.ts. */
  koffiFile: string;
}

/** Views of the shared memory, and the indices into them. */
export class SharedState {
  readonly buffers: SharedBuffers;
  readonly config: SharedConfig;
  /** Global, CPU pool and worker words. */
  readonly words: Int32Array<SharedArrayBuffer>;
  /** The doubles of the workers, over the same memory. */
  readonly doubles: Float64Array<SharedArrayBuffer>;
  /** The 64-bit words of the CPU pools, over the same memory. */
  readonly longs: BigInt64Array<SharedArrayBuffer>;
  readonly conns: Int32Array<SharedArrayBuffer>;
  readonly connDoubles: Float64Array<SharedArrayBuffer>;
  /** Number of spill buffers, including the reserve. */
  readonly spillBuffers: number;
  /** The head of the list of free spill buffers, at SPILL_FREE. */
  readonly spillFree: BigInt64Array<SharedArrayBuffer>;
  readonly spillWords: Int32Array<SharedArrayBuffer>;
  readonly spillDoubles: Float64Array<SharedArrayBuffer>;
  /** S  The spilled bytes. */
  readonly spillBytes: Uint8Array<SharedArrayBuffer>;
  /** W  The histograms of the workers. */
  readonly latency: Float64Array<SharedArrayBuffer>;
  private readonly workerBase: number;

  constructor(buffers: SharedBuffers) {
    this.buffers = buffers;
    this.config = buffers.config;
    this.words = new Int32Array(buffers.control);
    this.doubles = new Float64Array(buffers.control);
    this.longs = new BigInt64Array(buffers.control);
    this.conns = new Int32Array(buffers.connections);
    this.connDoubles = new Float64Array(buffers.connections);
    this.spillBuffers = buffers.config.spills + buffers.config.cpus;
    this.spillFree = new BigInt64Array(buffers.spillList);
    this.spillWords = new Int32Array(buffers.spillList);
    this.spillDoubles = new Float64Array(buffers.spillList);
    this.spillBytes = new Uint8Array(buffers.spills);
    this.latency = new Float64Array(buffers.latency);
    this.workerBase = (GLOBAL_LINES + buffers.config.cpus) * LINE_WORDS;
  }

  /** Zeroed memory for a server. The kernel allocates a page only when it is written. */
  static create(config: SharedConfig): SharedState {
    const lines = GLOBAL_LINES + config.cpus + (config.workers + 1) * WORKER_LINES;
    const spills = config.spills + config.cpus;
    const shared = new SharedState({
      config,
      control: new SharedArrayBuffer(lines * LINE_WORDS * 4),
      connections: new SharedArrayBuffer(config.fdLimit * LINE_WORDS * 4),
      spillList: new SharedArrayBuffer((spills + 1) * SPILL_WORDS * 4), // number 0 has the head
      spills: new SharedArrayBuffer(spills * BUFFER_BYTES),
      latency: new SharedArrayBuffer((config.workers + 1) * HISTOGRAMS * HISTOGRAM_DOUBLES * 8),
    });
    for (let number = 1; number < spills; number++)
      shared.spillWords[shared.spillWord(number, SPILL_NEXT)] = number + 1;
    shared.spillFree[SPILL_FREE] = spills > 0 ? 1n : 0n;
    return shared;
  }

  /** Index into `words` of a CPU pool's word. */
  poolWord(pool: number, word: number): number {
    return (GLOBAL_LINES + pool) * LINE_WORDS + word;
  }

  /** Index into `longs` of a CPU pool's 64-bit word. */
  poolLong(pool: number, long: number): number {
    return ((GLOBAL_LINES + pool) * LINE_WORDS) / 2 + long;
  }

  /** Index into `words` of a worker's word. */
  workerWord(id: number, word: number): number {
    return this.workerBase + id * WORKER_LINES * LINE_WORDS + word;
  }

  /** Index into `doubles` of a worker's double. */
  workerDouble(id: number, double: number): number {
    return (this.workerBase >> 1) + id * WORKER_LINES * LINE_DOUBLES + double;
  }

  /** Index into `conns` of a connection's word. */
  connWord(fd: number, word: number): number {
    return fd * LINE_WORDS + word;
  }

  /** Index into `connDoubles` of a connection's double. */
  connDouble(fd: number, double: number): number {
    return fd * LINE_DOUBLES + double;
  }

  /** Index into `spillWords` of a spill buffer's word. */
  spillWord(number: number, word: number): number {
    return number * SPILL_WORDS + word;
  }

  /** Index into `spillDoubles` of a spill buffer's double. */
  spillDouble(number: number, double: number): number {
    return (number * SPILL_WORDS) / 2 + double;
  }
}

/** Adds to a double that only the calling thread writes. */
export function addTo(doubles: Float64Array, index: number, amount: number): void {
  doubles[index] = (doubles[index] as number) + amount;
}

/** The kernel's id of a worker's thread; 0 = unknown. */
export function tidOf(shared: SharedState, id: number): number {
  return Atomics.load(shared.words, shared.workerWord(id, TID));
}

/** The STATE word of a worker in a CPU pool. */
export function stateIn(state: WorkerState, pool: number): number {
  return state | (pool << POOL_SHIFT);
}

export function stateOf(word: number): WorkerState {
  return (word & ((1 << POOL_SHIFT) - 1)) as WorkerState;
}

export function poolOf(word: number): number {
  return word >> POOL_SHIFT;
}
