/**
 * What the parts of the soak test tell each other. Types only.
 *
 * Words: a *part* is one strategy's share of the run, with a server process and a load process of its own.
 */

export const SOAK_STRATEGIES = ['cmwq', 'workqueue', 'kthread'] as const;
export type SoakStrategy = (typeof SOAK_STRATEGIES)[number];

/** Kinds of connections; see behaviours.ts. */
export const KINDS = ['echo', 'churn', 'halfClose', 'reset', 'slow', 'silent'] as const;
export type Kind = (typeof KINDS)[number];

/** How many connections of each kind there are at a time. */
export type Lanes = Record<Kind, number>;

/** What the load process is told. */
export interface LoadPlan {
  port: number;
  seed: number;
  lanes: Lanes;
}

/** What the load process has counted. */
export interface LoadCounts {
  /** Connections that were made, and those of them that are over. */
  opened: number;
  over: number;
  /** Conversations that went as they should, by kind. */
  completed: Record<Kind, number>;
  /** Bytes received and found right. */
  bytes: number;
  /** Connections reset by the server without cause. */
  lost: number;
  /** Connections that got a wrong byte, or one too many. */
  wrong: number;
  /** Connections that the server ended in order, but before all that was due had come. */
  cutShort: number;
  /** Connects that failed. */
  refused: number;
  /** Connections on which nothing happened for too long. */
  stalled: number;
  /** Connects tried again because the chosen source port was taken; no affair of the server. */
  portsTaken: number;
  /** What went wrong, the first few times. */
  details: string[];
}

/** The server's own figures, from a log line `stats`; see src/server/stats.ts. */
export interface Figures {
  accepted: number;
  active: number;
  queued: number;
  workerDied: number;
  /** Threads that died. */
  deaths: number;
  echoes: number;
  bytes: number;
  spillsInUse: number;
  spillsTotal: number;
}

/** What a server process holds: its descriptors, threads and memory by /proc, its connections by its figures. */
export interface Held {
  descriptors: number;
  threads: number;
  residentKib: number;
  /** Mappings of memory. */
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

/** All that is known of one part when it is over. */
export interface PartResult {
  strategy: SoakStrategy;
  durationMs: number;
  samples: Sample[];
  /** Before the load began, and when it was over and the server had come to rest or the deadline had passed. */
  start: Held;
  end: Held;
  counts: LoadCounts;
  /** The last figures of the server. */
  figures: Figures;
  /** Deaths ordered, and those put off because the connections did not come to rest in time. */
  deathsOrdered: number;
  deathsPutOff: number;
  /** Stats lines that came; each was asked for by SIGUSR2, and a missing one ends the part. */
  statsLines: number;
  /** How the server ended, like `exit code 0`. */
  ended: string;
}
