/**
 * The options of `kecho-pool bench`.
 */
import type { Arrivals, Mode } from '../result.ts';
import type { Threshold } from './thresholds.ts';
import type { TargetAddress } from './values.ts';

export interface BenchOptions {
  mode: Mode;
  target: TargetAddress;
  clients: readonly number[];
  requests: number;
  messageBytes: number;
  repeat: number;
  warmupMs: number;
  durationMs: number;
  timeoutMs: number;
  rate: number;
  arrivals: Arrivals;
  maxConnections: number;
  seed: number;
  /** The generator on a processor of its own. */
  pin: boolean;
  thresholds: readonly Threshold[];
  /** A file or STDOUT. */
  json?: string;
  csv?: string;
  hgrm?: string;
}
