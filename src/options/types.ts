/**
 * The types of the table of options: its entries, the kinds of options, and the value type of each kind.
 */

export const STRATEGIES = ['kthread', 'workqueue', 'cmwq'] as const;
/** How connections are dispatched to threads. */
export type StrategyName = (typeof STRATEGIES)[number];

/** Where a CPU pool's work may run, as in the kernel's workqueue.default_affinity_scope. */
export const AFFINITY_SCOPES = ['system', 'cpu'] as const;

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type OptionKind =
  | { type: 'integer'; min: number; max: number }
  /** With `stepMs`, only multiples of it. */
  | { type: 'duration'; minMs: number; maxMs: number; stepMs?: number }
  | { type: 'size'; minBytes: number; maxBytes: number }
  | { type: 'choice'; among: readonly string[] }
  | { type: 'text' }
  | { type: 'services' }
  /** A module, with or without the name of an export. */
  | { type: 'module' }
  | { type: 'adminAddress' }
  | { type: 'boolean' };

/** Value types of the API, which the server uses. */
interface ValueTypes {
  integer: number;
  /** Milliseconds. */
  duration: number;
  /** Bytes. */
  size: number;
  choice: string;
  text: string;
  services: readonly string[];
  module: string;
  adminAddress: string;
  boolean: boolean;
}
export type Value = ValueTypes[keyof ValueTypes];

export interface Described {
  short?: string;
  kind: OptionKind;
  /** One phrase, for --help. */
  help: string;
  /** More sentences for the documentation. Other options are written as flags. */
  details?: string;
  /** The strategies that have this option; all if absent. */
  only?: readonly StrategyName[];
}

/** An entry of the table of options (specs.ts). */
export type Option = Described &
  (
    | { default: Value }
    /** A function if it depends on the system; undefined without a default, or if it depends on the descriptor limit. */
    | { default: (() => Value) | undefined; defaultText: string }
  );

/** The type of an option's value after defaults. */
export type ValueOf<O extends Option> =
  | (O['kind'] extends { among: readonly (infer Name)[] } ? Name : ValueTypes[O['kind']['type']])
  | (O['default'] extends undefined ? undefined : never);
