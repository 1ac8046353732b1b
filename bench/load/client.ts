/**
 * Interfaces inside the load generator: what all connections of a run share, and what the event loop requires of a
 * mode. Types and limits only.
 */
import type { LiveReport } from './live.ts';
import type { Pattern } from './pattern.ts';
import type { Sources } from './sources.ts';
import type { Tally } from './tally.ts';

/** A steady load ends after this many errors. */
export const ERRORS_MAX = 100;

/** What all sessions of a run share. */
export interface Shared {
  epfd: number;
  /** Socket address to connect to. */
  target: Uint8Array;
  sources: Sources;
  pattern: Pattern;
  tally: Tally;
  live: LiveReport;
  /** How long a connect and an answer may take. */
  timeoutMs: number;
}

/** What the event loop (pump.ts) requires of a mode. */
export interface Handler {
  /** An epoll event on one descriptor. */
  event(fd: number, bits: number): void;
  /** About 20 times a second: fails what exceeds the timeout. */
  tick(nowMs: number): void;
  /** Does what is due, and returns the milliseconds until the next work is due. */
  due(nowMs: number): number;
  /** Samples started and not finished. */
  outstanding(): number;
}

/** A steady load: connect, warm-up, window, drain (run-load.ts, where clientFor() lists the modes). */
export interface Client extends Handler {
  /** Starts opening the connections that must be open before the load. */
  connect(): void;
  /** Whether each of them is open or has failed. */
  readonly ready: boolean;
  /** Starts the load. */
  start(nowMs: number): void;
  /** Whether the warm-up may end early. */
  warm(): boolean;
  /** Called when the window opens. */
  measure(nowMs: number): void;
  /** Whether the window must end early. */
  exhausted(): boolean;
  /** Starts nothing new from here on. */
  stop(nowMs: number): void;
  /** Closes everything. Outstanding samples count as timed out, unless the run was cut short. */
  finish(cutShort: boolean): void;
}
