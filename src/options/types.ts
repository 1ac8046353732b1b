/**
 * What an entry of the table of options consists of, and the type of value that each kind of option has.
 */

export const STRATEGIES = ['kthread', 'workqueue', 'cmwq'] as const;
/** How connections are dispatched to threads. */
export type StrategyName = (typeof STRATEGIES)[number];

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type OptionKind =
  | { type: 'integer'; min: number; max: number }
  /** `stepMs`: only multiples of it. */
  | { type: 'duration'; minMs: number; maxMs: number; stepMs?: number }
  | { type: 'size'; minBytes: number; maxBytes: number }
  | { type: 'choice'; among: readonly string[] }
  | { type: 'text' }
  | { type: 'services' }
  | { type: 'adminAddress' }
  | { type: 'boolean' };

/** What the API takes and the server uses. */
interface ValueTypes {
  integer: number;
  /** Milliseconds. */
  duration: number;
  /** Bytes. */
  size: number;
  choice: string;
  text: string;
  services: readonly string[];
  adminAddress: string;
  boolean: boolean;
}
export type Value = ValueTypes[keyof ValueTypes];

export interface Described {
  short?: string;
  kind: OptionKind;
  /** One phrase, for --help. */
  help: string;
  /** What else the documentation says, in sentences. Other options are called by their flags. */
  details?: string;
  /** The strategies that have this option; all when absent. */
  only?: readonly StrategyName[];
}

/** An entry of the table of options (specs.ts). */
export type Option = Described &
  (
    | { default: Value }
    /** A function asks the system; undefined: none, or the descriptor limit decides. Neither can be shown, so words must be. */
    | { default: (() => Value) | undefined; defaultText: string }
  );

/** The type of an option's value after defaults. */
export type ValueOf<O extends Option> =
  | (O['kind'] extends { among: readonly (infer Name)[] } ? Name : ValueTypes[O['kind']['type']])
  | (O['default'] extends undefined ? undefined : never);
