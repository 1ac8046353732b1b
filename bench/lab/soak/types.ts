/**
 * Types of the soak test. A *part* is one strategy's share of the run, with its own server process and load process.
 */

export const SOAK_STRATEGIES = ['cmwq', 'workqueue', 'kthread'] as const;
export type SoakStrategy = (typeof SOAK_STRATEGIES)[number];

/** Kinds of connections; see behaviours.ts. */
export const KINDS = ['echo', 'churn', 'halfClose', 'reset', 'slow', 'silent'] as const;
export type Kind = (typeof KINDS)[number];

/** Connections of each kind at a time. */
export type Lanes = Record<Kind, number>;

/** The argument of the load process. */
export interface LoadPlan {
  port: number;
  seed: number;
  lanes: Lanes;
}

/** The counts of the load process. */
export interface LoadCounts {
  /** Connections made, and those of them that have ended. */
  opened: number;
  over: number;
  /** Faultless conversations, by kind. */
  completed: Record<Kind, number>;
  /** Bytes received and correct. */
  bytes: number;
  /** Connections reset by the server without cause. */
  lost: number;
  /** Connections that got a wrong or surplus byte. */
  wrong: number;
  /** Connections that the server ended in order, but before the whole echo. */
  cutShort: number;
  /** Connects that failed. */
  refused: number;
  /** Connections that were idle for too long. */
  stalled: number;
  /** Connects retried because the source port was taken; not the server's fault. */
  portsTaken: number;
  /** The first few faults. */
  details: string[];
}

/** From a log line `stats`; see src/server/stats.ts. */
export interface Figures {
  accepted: number;
  active: number;
  queued: number;
  workerDied: number;
  deaths: number;
  echoes: number;
  bytes: number;
  spillsInUse: number;
  spillsTotal: number;
}

/** A server process's resources: descriptors, threads and memory from /proc, connections from its figures. */
export interface Held {
  descriptors: number;
  threads: number;
  residentKib: number;
  /** Memory mappings. */
  mappings: number;
  active: number;
  queued: number;
  spillsInUse: number;
}

export interface Sample extends Held {
  /** Since the load began. */
  atMs: number;
  accepted: number;
  echoes: number;
  bytes: number;
}

export interface PartResult {
  strategy: SoakStrategy;
  durationMs: number;
  samples: Sample[];
  /** Taken at the ends of the load's rests; empty when it has none. */
  rests: Sample[];
  /** Before the load, and after it, once the server has settled or the deadline has passed. */
  start: Held;
  end: Held;
  counts: LoadCounts;
  /** The server's last figures. */
  figures: Figures;
  /** Deaths ordered, and those put off because the connections did not settle in time. */
  deathsOrdered: number;
  deathsPutOff: number;
  /** Stats lines received; each was requested with SIGUSR2, and a missing one fails the part. */
  statsLines: number;
  /** How the server ended, like `exit code 0`. */
  ended: string;
}
