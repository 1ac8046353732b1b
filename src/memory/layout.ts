/**
 * Every word that main and the workers share, and who may write it.
 *
 * One SharedState is made by main before the first worker starts and handed to every worker as
 * `workerData`. It owns no descriptor and no thread. The protocols on these words live in run-slot.ts,
 * kick.ts, completions.ts and spill.ts.
 *
 * Access letters, in the manner of kernel/workqueue.c:
 *
 *   I  set before the workers start, constant afterwards
 *   M  main writes; a worker's read may be stale
 *   W  its worker writes; another's read may be stale
 *   S  whoever holds the connection's item writes (the slot's holder, or a worker that left the slot in it)
 *   C  anybody, by compare-and-swap or atomic add
 *
 * Doubles are written plainly by one thread at a time and are exact up to 2^53; a reader on another
 * thread may see an older value, never a mixture of two (aligned 64-bit stores on 64-bit machines).
 */

/** A file descriptor shares an Int32 with a worker id, so it has 20 bits. */
export const FD_BITS = 20;
export const MAX_FD = (1 << FD_BITS) - 1;
/** Worker ids are 1..2046; 2047 in a run slot is main, in transition. */
export const MAIN_ID = 2047;
export const MAX_WORKER_ID = MAIN_ID - 1;

const LINE_WORDS = 16; // 64 bytes, a cache line
const LINE_DOUBLES = 8;

// ---- Global words, each on its own line ---------------------------------------------------------
/** M  1 once the server stops; workers leave their loops. */
export const STOP = 0;
/** C  1 while main sleeps and wants to be rung, 0 once somebody rang (completions.ts). */
export const BELL = 1 * LINE_WORDS;
/** C  Head of the list of finished connections: a descriptor, 0 = empty (completions.ts). */
export const DONE_HEAD = 2 * LINE_WORDS;
/** C  Spill buffers in use, in buffers; may exceed the limit by the buffers in reserve. */
export const SPILLS_USED = 3 * LINE_WORDS;
/** C  Highest worker id ever claimed; bounds the scans over workers. Only grows. */
export const WORKERS_HIGH = 4 * LINE_WORDS;
/** M  1 while the watchdog runs; at 0 a worker that begins an item rings the bell. */
export const WATCHDOG_ON = 5 * LINE_WORDS;
/** I  Largest number of begun and unfinished items of a CPU pool (max_active). */
export const MAX_ACTIVE = 6 * LINE_WORDS;
/** I  1 when workers report single echoes and steps (log level trace). */
export const TRACE = MAX_ACTIVE + 1;
/** W  Id of the rescuer, 0 until it has come up. */
export const RESCUER_ID = MAX_ACTIVE + 2;
/** M  1 = mayday: the rescuer is to look for CPU pools that have no worker; the rescuer sets it back (C). */
export const MAYDAY = MAX_ACTIVE + 3;
const GLOBAL_LINES = 7;

// ---- Words of a CPU pool, one line each ---------------------------------------------------------
/** C  The run slot: 0 free, else its holder's id with the item it is in, or with the number of its grant. See run-slot.ts. */
export const RUN_SLOT = 0;
/** C  Begun and unfinished items whose workers are out of the slot. */
export const NR_UNSLOTTED = 1;
/** C  Of these, the ones counted as running: awake, neither blocked nor CPU-intensive. */
export const NR_OVERSHOOT = 2;
/** M  Connections in this CPU pool, from the accept until main has taken them back. */
export const CONNECTIONS = 3;
/** I  The worklist's epoll descriptor. */
export const EPOLL_FD = 4;
/** I  The eventfd in the worklist that wakes the worker on duty for a stop. */
export const WAKE_FD = 5;
/** C  Grants of the slot so far, modulo 2^32: their low bits tell one from the next. */
export const GRANTS = 6;
// Joined: nr_running = (fd of the slot != 0 ? 1 : 0) + NR_OVERSHOOT.
// Joined: begun items = (fd of the slot != 0 ? 1 : 0) + NR_UNSLOTTED <= MAX_ACTIVE.
// Joined: NR_OVERSHOOT <= NR_UNSLOTTED <= CONNECTIONS, but for moments within a transition.

// ---- Words of a worker, two lines each ----------------------------------------------------------
/** C  Its WorkerState, with the CPU pool in the bits above POOL_SHIFT. Workers sleep on it when idle. */
export const STATE = 0;
/** C  threadId of the thread that has claimed this id; 0 = nobody. Main clears it after the thread's exit. */
export const THREAD_ID = 1;
/** W  Descriptor of the item it is in, 0 = none. Main reads it after the thread's death. */
export const ITEM_FD = 2;
/** W  Number of the kworker task that it runs or ran last; never reused. Main reads it after a death, too. */
export const TASK = 3;
// Doubles of a worker, from the second eight bytes on. The counters are never reset: an id that is claimed again goes on counting.
/** W  Milliseconds of the monotonic clock (process.hrtime) when it became idle. */
export const IDLE_SINCE_MS = 2;
/** W  CONN_ID of the item it is in: tells main whether ITEM_FD still is that connection. */
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
/** W  Times a sleeping item made it kick another worker (PWQ_STAT_CM_WAKEUP). */
export const CM_WAKEUP = 9;
/** W  Echoes whose rest went to a spill. */
export const SPILLS = 10;
/** W  Items begun as the rescuer (PWQ_STAT_RESCUED). */
export const RESCUED = 11;
// Words again, behind the doubles.
/** C  Trace lines posted to main that it has not taken (workers/trace.ts); a new thread sets it back to 0. */
export const TRACES_POSTED = 24;
/** C  Trace lines dropped that the log does not tell of yet. */
export const TRACES_LOST = 25;
/** M  1 while main is about to end this worker's thread in the item that it is in (ending.ts). */
export const ENDING = 26;
const WORKER_LINES = 2;

export const WorkerState = {
  /** No thread has this id, or its thread has ended. */
  Free: 0,
  /** Claimed; the thread is loading. */
  Starting: 1,
  /** Sleeps on its STATE word and may be kicked. */
  Idle: 2,
  /** Put in charge of a CPU pool: holds its run slot, or is about to. Under kthread and workqueue: serves a connection. */
  OnDuty: 3,
  /** Sleeps inside an item, out of the slot. */
  Blocked: 4,
  /** Out of the concurrency count until its item ends (CPU_INTENSIVE). */
  CpuIntensive: 5,
  /** Awake again inside an item after it gave the slot up: counted in NR_OVERSHOOT. */
  Finishing: 6,
  /** Asked to end by the culling, or by a stop. */
  Retired: 7,
  /** The rescuer, waiting for a mayday. Nobody kicks it. */
  Rescuer: 8,
} as const;
export type WorkerState = (typeof WorkerState)[keyof typeof WorkerState];
export const POOL_SHIFT = 8;

// ---- Words of a connection, one line each, found by its descriptor -------------------------------
/** C  Next descriptor in the list of finished connections, 0 = last. */
export const NEXT = 0;
/** S  Its Outcome once it has ended (completions.ts). */
export const REASON = 1;
/** S  Number, from 1, of the spill buffer that holds its unsent rest; 0 = none; -1 = none, and it waits for room to send. */
export const SPILL = 2;
/** S  First unsent byte in the spill buffer. */
export const SPILL_START = 3;
/** S  End of the unsent bytes in the spill buffer. */
export const SPILL_END = 4;
/** M  Number of its service among those configured, set before it is dispatched. */
export const SERVICE = 5;
/** S  kthread, workqueue: 1 once a thread has begun with it. */
export const SERVING = 6;
/** M  When it was accepted, in the microseconds of latency.ts, 0 = not measured; S sets it back when it has begun. */
export const ACCEPTED_US = 7;
// Doubles of a connection.
/** S  Bytes received from it. */
export const CONN_BYTES_IN = 4;
/** S  Bytes sent to it. */
export const CONN_BYTES_OUT = 5;
/** S  Echoes. */
export const CONN_ECHOES = 6;
/** M  Its number in the order of accepting, from 1; never reused, unlike the descriptor. */
export const CONN_ID = 7;

export const CloseReason = {
  Open: 0,
  /** The peer sent FIN and has everything it sent. */
  Eof: 1,
  /** recv or send failed; the errno stands above. */
  Error: 2,
  /** No spill buffer was free for its unsent rest. */
  SpillLimit: 3,
  /** Cut at the end of the drain. */
  Cut: 4,
  /** Its worker died while it was in its item. */
  WorkerDied: 5,
} as const;
export type CloseReason = (typeof CloseReason)[keyof typeof CloseReason];

// ---- Words of a spill buffer, found by its number from 1, and of their list ----------------------
/** S  Descriptor of the connection that took it last. */
export const SPILL_OWNER = 0;
/** C  Number of the next free buffer, 0 = last: written before it becomes the head of the list. */
export const SPILL_NEXT = 1;
/** S  Double: milliseconds of the monotonic clock when it was taken. */
export const SPILL_SINCE_MS = 1;
const SPILL_WORDS = 4;
/** C  In 64 bits: how often the list of free buffers has changed, and the number of the first one (spill.ts). */
export const SPILL_FREE = 0;

// ---- Latency histograms, two per worker, see latency.ts ------------------------------------------
/** Doubles of a histogram: W counts per bucket, then W their sum in microseconds; four lines. */
export const HISTOGRAM_DOUBLES = 4 * LINE_DOUBLES;
export const HISTOGRAMS = 2;

/** Bytes of one echo buffer, and so of one spill: the most that one turn can leave unsent. */
export const BUFFER_BYTES = 65536;

export interface ServiceStep {
  kind: 'burn' | 'sleep';
  durationMs: number;
}

/** What a handler does before each echo; how it is written is in src/options/service-spec.ts. */
export interface ServiceSpec {
  /** Out of the concurrency count from its start (WQ_CPU_INTENSIVE). */
  cpuIntensive: boolean;
  steps: ServiceStep[];
}

export interface SharedConfig {
  /** CPU pools; 0 under kthread and workqueue. */
  cpus: number;
  /** Largest worker id, 1..2046. */
  workers: number;
  /** Descriptors are below this. */
  fdLimit: number;
  /** Spill buffers of BUFFER_BYTES, without those in reserve: one for each CPU pool. */
  spills: number;
  /** What handlers do before an echo; a connection's SERVICE word says which. Empty: nothing. */
  services?: readonly ServiceSpec[];
}

/** The raw memory, as it travels to a worker. */
export interface SharedBuffers {
  config: SharedConfig;
  control: SharedArrayBuffer;
  connections: SharedArrayBuffer;
  spillList: SharedArrayBuffer;
  spills: SharedArrayBuffer;
  latency: SharedArrayBuffer;
}

/** Views of the shared memory. Offsets come from the functions below; the protocols from the modules above. */
export class SharedState {
  readonly buffers: SharedBuffers;
  readonly config: SharedConfig;
  /** Global, CPU pool and worker words. */
  readonly words: Int32Array<SharedArrayBuffer>;
  /** The doubles of the workers, over the same memory. */
  readonly doubles: Float64Array<SharedArrayBuffer>;
  readonly conns: Int32Array<SharedArrayBuffer>;
  readonly connDoubles: Float64Array<SharedArrayBuffer>;
  /** Spill buffers, those in reserve included. */
  readonly spillBuffers: number;
  /** The head of the list of free spill buffers, in the first place. */
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

  /** Zeroed memory for a server. The system gives pages only where something is written. */
  static create(config: SharedConfig): SharedState {
    const lines = GLOBAL_LINES + config.cpus + (config.workers + 1) * WORKER_LINES;
    const spills = config.spills + config.cpus;
    const shared = new SharedState({
      config,
      control: new SharedArrayBuffer(lines * LINE_WORDS * 4),
      connections: new SharedArrayBuffer(config.fdLimit * LINE_WORDS * 4),
      spillList: new SharedArrayBuffer((spills + 1) * SPILL_WORDS * 4), // number 0 is the head's
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

  /** Index into `spillWords` of a spill buffer's word; numbers begin with 1. */
  spillWord(number: number, word: number): number {
    return number * SPILL_WORDS + word;
  }

  /** Index into `spillDoubles` of a spill buffer's double. */
  spillDouble(number: number, double: number): number {
    return (number * SPILL_WORDS) / 2 + double;
  }
}

/** Adds to a double that only this thread writes. */
export function addTo(doubles: Float64Array, index: number, amount: number): void {
  doubles[index] = (doubles[index] as number) + amount;
}

/** The state word of a worker that works for a CPU pool. */
export function stateIn(state: WorkerState, pool: number): number {
  return state | (pool << POOL_SHIFT);
}

export function stateOf(word: number): WorkerState {
  return (word & ((1 << POOL_SHIFT) - 1)) as WorkerState;
}

export function poolOf(word: number): number {
  return word >> POOL_SHIFT;
}
