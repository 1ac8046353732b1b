/**
 * The options of `kecho-pool compare`.
 */
import type { StrategyName } from '../../src/options/types.ts';
import type { TargetAddress } from '../load/command/values.ts';
import type { Adjustments, ExperimentName } from './experiments/kind.ts';

/** Another server: a shell command that starts it, or where it runs already. */
export type TargetOption = { name: string } & ({ command: string } | { at: TargetAddress });

/** Another host for the servers. */
export interface OnOption {
  name: string;
  /** Arguments of ssh: options, and the host. */
  words: readonly string[];
  /** Starts kecho-pool there: a shell command. */
  command: string;
}

/** A kecho-pool server with options of its own. */
export interface VariantOption {
  name: string;
  strategy: StrategyName;
  /** Its arguments as given, the strategy among them. */
  args: readonly string[];
}

export interface CompareOptions extends Omit<Adjustments, 'idleMax' | 'handlerName' | 'services' | 'cpus'> {
  experiments: ExperimentName[] | null;
  strategies: StrategyName[];
  variants: VariantOption[];
  targets: TargetOption[];
  peers: boolean;
  control: boolean;
  messageBytes: number;
  seed: number;
  /** Additional arguments of the kecho-pool servers. */
  serverArgs: string[];
  /** Emulated work before each echo, in all experiments that have none of their own; connections take turns. */
  services: string[];
  /** The operator's handler for the same, with an absolute path. */
  handler: string | undefined;
  handlerHeapBytes: number | undefined;
  /** Ratios from 1 / (1 + margin) to 1 + margin count as the same. */
  margin: number;
  /** Add rounds until the ratios of the primary figures are known to within this share; undefined: a fixed number. */
  until: number | undefined;
  /** With `until`: the time for all rounds. */
  timeLimitMs: number;
  /** Generator and servers on processors of their own. */
  pin: boolean;
  /** The host of the servers; undefined: this one. */
  on: OnOption | undefined;
  baseline: string | null;
  /** An earlier results.json to analyse again, without any run. */
  from: string | null;
  /** An old build of kecho-pool, as a shell command. */
  baselineCommand: string | undefined;
  out: string;
  /** Only print the plan and the estimate. */
  planOnly: boolean;
}
