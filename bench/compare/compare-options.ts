/**
 * The options of `kecho-pool compare`.
 */
import type { StrategyName } from '../../src/options/types.ts';
import type { Adjustments, ExperimentName } from './experiments.ts';

export interface TargetOption {
  name: string;
  command: string;
}

export interface CompareOptions extends Omit<Adjustments, 'idleMax' | 'handlerName'> {
  experiments: ExperimentName[] | null;
  strategies: StrategyName[];
  targets: TargetOption[];
  peers: boolean;
  control: boolean;
  messageBytes: number;
  seed: number;
  /** Additional arguments of the kecho-pool servers. */
  serverArgs: string[];
  /** The operator's handler, with an absolute path. */
  handler: string | undefined;
  handlerHeapBytes: number | undefined;
  /** Generator and servers on processors of their own. */
  pin: boolean;
  baseline: string | null;
  out: string;
  /** Only print the plan and the estimate. */
  planOnly: boolean;
}
