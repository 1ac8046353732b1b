/**
 * What the parts of the load generator know of each other: the surroundings that all connections of a run
 * share, and what a mode is to the loop that drives it. Types and limits only.
 */
import type { Pattern } from './pattern.ts';
import type { Sources } from './sources.ts';
import type { Tally } from './tally.ts';

/** A steady load with this many errors has shown what there is to see and ends. */
export const ERRORS_MAX = 100;

/** What all sessions of a run share. */
export interface Shared {
  epfd: number;
  /** Where to connect to. */
  target: Uint8Array;
  sources: Sources;
  pattern: Pattern;
  tally: Tally;
  /** How long a connect and an answer may take. */
  timeoutMs: number;
}

/** What the event loop (pump.ts) asks of a mode. */
export interface Handler {
  /** An event of a descriptor in the epoll set. */
  event(fd: number, bits: number): void;
  /** Some 20 times a second: gives up what has taken too long. */
  tick(nowMs: number): void;
  /** Does what is due by the clock, and returns for how many milliseconds nothing further will be. */
  due(nowMs: number): number;
  /** Samples begun and not ended. */
  outstanding(): number;
}

/** A steady load: connect, warm-up, window, drain (drive.ts). A further one needs this and a line in clientFor(). */
export interface Client extends Handler {
  /** Begins to open the connections that must be open before the load. */
  connect(): void;
  /** Whether they all are, or have failed. */
  readonly ready: boolean;
  /** Begins the load. */
  start(nowMs: number): void;
  /** Whether the warm-up may end before its time. */
  warm(): boolean;
  /** The window is open. */
  measure(nowMs: number): void;
  /** Whether the window must end before its time. */
  exhausted(): boolean;
  /** Begins nothing new from here on. */
  stop(nowMs: number): void;
  /** Closes everything. What is still outstanding is counted as timed out, unless the run was cut short. */
  finish(cutShort: boolean): void;
}
