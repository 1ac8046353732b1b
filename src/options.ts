/**
 * The options of a server: one table of defaults, ranges and reasons, used by the command line, the
 * environment and the API alike.
 *
 * Pure but for the default of `cpus` and `workers`, which asks the system how many it has. Limits that
 * depend on the descriptor limit are worked out in limits.ts, when the server starts.
 */
import { availableParallelism } from 'node:os';
import { MAX_FD, MAX_WORKER_ID } from './shared/layout.ts';
import { IDLE_WORKER_TIMEOUT_MS } from './strategy/predicates.ts';

export const STRATEGIES = ['kthread', 'workqueue', 'cmwq'] as const;
/** How connections are handed to threads. */
export type StrategyName = (typeof STRATEGIES)[number];

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Options of {@link createEchoServer}; the command line has the same under `--kebab-case` names. */
export interface EchoServerOptions {
  /** Default `cmwq`. */
  strategy?: StrategyName;
  /** TCP port, 0 to 65535; 0 takes any free one. Default 12345. */
  port?: number;
  /** IPv4 or IPv6 address, or a name. Default 127.0.0.1; anything but loopback is the caller's choice. */
  host?: string;
  /** Connections that the kernel keeps before they are accepted, 1 to 65535; it cuts it to somaxconn. Default 4096. */
  backlog?: number;
  /** workqueue: number of workers, 1 to 2046. Default: available parallelism. */
  workers?: number;
  /** cmwq: number of CPU pools, 1 to 256. Default: available parallelism. */
  cpus?: number;
  /** kthread, cmwq: most threads, 1 (cmwq: cpus + 1) to 2046. Default 512, or what the descriptor limit allows. */
  maxWorkers?: number;
  /** cmwq: how long a worker that is too many stays idle, in ms, 1 to 86,400,000. Default 300,000. */
  idleTimeoutMs?: number;
  /** Most connections at a time, 1 to 1,048,575. Default: the descriptor limit less a reserve. */
  maxConnections?: number;
  /** kthread, workqueue: most connections that wait for a thread, 0 to 1,048,575. Default 65536. */
  maxQueue?: number;
  /** How long open connections may go on after a stop was asked for, in ms, 0 to 86,400,000. Default 10,000. */
  drainTimeoutMs?: number;
  /** Default `info`. Connections are logged at `debug`, single echoes at `trace`, payload never. */
  logLevel?: LogLevel;
  /** Log for people instead of JSON lines. Default: when standard output is a terminal. */
  pretty?: boolean;
}

/** Options after defaults; `undefined` where the value follows from the descriptor limit. */
export interface EffectiveOptions {
  strategy: StrategyName;
  port: number;
  host: string;
  backlog: number;
  workers: number;
  cpus: number;
  maxWorkers: number | undefined;
  idleTimeoutMs: number;
  maxConnections: number | undefined;
  maxQueue: number;
  drainTimeoutMs: number;
  logLevel: LogLevel;
  pretty: boolean;
}

type Key = keyof EffectiveOptions;
type Kind =
  | { type: 'integer'; min: number; max: number }
  | { type: 'duration'; minMs: number; maxMs: number }
  | { type: 'choice'; among: readonly string[] }
  | { type: 'text' }
  | { type: 'boolean' };

export interface OptionSpec {
  key: Key;
  /** Long flag without dashes; the environment variable is KECHO_POOL_ and this in capitals. */
  flag: string;
  short?: string;
  kind: Kind;
  group: 'Listening' | 'Strategy' | 'Limits' | 'Logging';
  help: string;
  /** What the help shows as the default. */
  defaultText: string;
  /** The strategies that have this option; all when absent. */
  only?: readonly StrategyName[];
}

const DAY_MS = 86_400_000;

export const OPTION_SPECS: readonly OptionSpec[] = [
  {
    key: 'strategy',
    flag: 'strategy',
    short: 's',
    kind: { type: 'choice', among: STRATEGIES },
    group: 'Strategy',
    help: 'how connections are handed to threads: kthread, workqueue or cmwq',
    defaultText: 'cmwq',
  },
  {
    key: 'port',
    flag: 'port',
    short: 'p',
    kind: { type: 'integer', min: 0, max: 65535 },
    group: 'Listening',
    help: 'TCP port, 0 = any free one',
    defaultText: '12345',
  },
  {
    key: 'host',
    flag: 'host',
    short: 'H',
    kind: { type: 'text' },
    group: 'Listening',
    help: 'IPv4 or IPv6 address, or a name',
    defaultText: '127.0.0.1',
  },
  {
    key: 'backlog',
    flag: 'backlog',
    short: 'b',
    kind: { type: 'integer', min: 1, max: 65535 },
    group: 'Listening',
    help: 'connections the kernel keeps before they are accepted',
    defaultText: '4096',
  },
  {
    key: 'workers',
    flag: 'workers',
    kind: { type: 'integer', min: 1, max: MAX_WORKER_ID },
    group: 'Strategy',
    help: 'number of workers',
    defaultText: 'available parallelism',
    only: ['workqueue'],
  },
  {
    key: 'cpus',
    flag: 'cpus',
    kind: { type: 'integer', min: 1, max: 256 },
    group: 'Strategy',
    help: 'number of CPU pools',
    defaultText: 'available parallelism',
    only: ['cmwq'],
  },
  {
    key: 'maxWorkers',
    flag: 'max-workers',
    kind: { type: 'integer', min: 1, max: MAX_WORKER_ID },
    group: 'Strategy',
    help: 'most threads',
    defaultText: '512, less when the descriptor limit is low',
    only: ['kthread', 'cmwq'],
  },
  {
    key: 'idleTimeoutMs',
    flag: 'idle-timeout',
    kind: { type: 'duration', minMs: 1, maxMs: DAY_MS },
    group: 'Strategy',
    help: 'how long a worker that is too many stays idle',
    defaultText: '300s',
    only: ['cmwq'],
  },
  {
    key: 'maxConnections',
    flag: 'max-connections',
    kind: { type: 'integer', min: 1, max: MAX_FD },
    group: 'Limits',
    help: 'most connections at a time; one more is refused with a reset',
    defaultText: 'descriptor limit less a reserve',
  },
  {
    key: 'maxQueue',
    flag: 'max-queue',
    kind: { type: 'integer', min: 0, max: MAX_FD },
    group: 'Limits',
    help: 'most connections that wait for a thread',
    defaultText: '65536',
    only: ['kthread', 'workqueue'],
  },
  {
    key: 'drainTimeoutMs',
    flag: 'drain-timeout',
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    group: 'Limits',
    help: 'how long open connections may go on after SIGTERM or SIGINT',
    defaultText: '10s',
  },
  {
    key: 'logLevel',
    flag: 'log-level',
    kind: { type: 'choice', among: LOG_LEVELS },
    group: 'Logging',
    help: `one of ${LOG_LEVELS.join(', ')}`,
    defaultText: 'info',
  },
  {
    key: 'pretty',
    flag: 'pretty',
    kind: { type: 'boolean' },
    group: 'Logging',
    help: 'log for people; --no-pretty logs JSON lines',
    defaultText: 'pretty on a terminal',
  },
];

export const DEFAULT_MAX_WORKERS = 512;

function defaults(): EffectiveOptions {
  return {
    strategy: 'cmwq',
    port: 12345,
    host: '127.0.0.1',
    backlog: 4096,
    workers: availableParallelism(),
    cpus: Math.min(256, availableParallelism()),
    maxWorkers: undefined,
    idleTimeoutMs: IDLE_WORKER_TIMEOUT_MS,
    maxConnections: undefined,
    maxQueue: 65536,
    drainTimeoutMs: 10_000,
    logLevel: 'info',
    pretty: process.stdout.isTTY === true,
  };
}

/** A value that is not allowed: `option` as the user wrote its name, `value` as given, `allowed` in words. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
  readonly option: string;
  readonly value: unknown;
  readonly allowed: string;

  constructor(option: string, value: unknown, allowed: string) {
    super(`${option}: ${show(value)} is not allowed: ${allowed}`);
    this.option = option;
    this.value = value;
    this.allowed = allowed;
  }
}

/** A value on one line, whatever it contains. */
function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}

const DURATION_UNITS_MS = { ms: 1, s: 1000, m: 60_000 } as const;

/** Milliseconds of `250ms`, `10s`, `5m` (decimals allowed, "0" too); null when it is none. */
export function parseDurationMs(text: string): number | null {
  if (text === '0') return 0;
  const match = /^(\d{1,9}(?:\.\d{1,3})?)(ms|s|m)$/.exec(text);
  if (match === null) return null;
  return Math.round(Number(match[1]) * DURATION_UNITS_MS[match[2] as keyof typeof DURATION_UNITS_MS]);
}

/** The value of an option from text, as the command line and the environment give it. Throws UsageError. */
export function parseOption(spec: OptionSpec, text: string, source: string): unknown {
  const { kind } = spec;
  switch (kind.type) {
    case 'integer':
      return checkOption(spec, /^\d{1,10}$/.test(text) ? Number(text) : text, source);
    case 'duration': {
      const durationMs = parseDurationMs(text);
      if (durationMs !== null && durationMs >= kind.minMs && durationMs <= kind.maxMs) return durationMs;
      throw new UsageError(source, text, allowed(kind, true));
    }
    case 'boolean':
      if (/^(1|true|yes|on)$/i.test(text)) return true;
      if (/^(0|false|no|off)$/i.test(text)) return false;
      throw new UsageError(source, text, 'true or false');
    default:
      return checkOption(spec, text, source);
  }
}

/** Returns `value` if the option may have it; throws UsageError otherwise. */
function checkOption(spec: OptionSpec, value: unknown, source: string): unknown {
  const { kind } = spec;
  const integer = typeof value === 'number' && Number.isInteger(value) ? value : Number.NaN;
  const ok =
    kind.type === 'integer'
      ? integer >= kind.min && integer <= kind.max
      : kind.type === 'duration'
        ? integer >= kind.minMs && integer <= kind.maxMs
        : kind.type === 'choice'
          ? kind.among.includes(value as string)
          : kind.type === 'boolean'
            ? typeof value === 'boolean'
            : typeof value === 'string' && /^[^\s\0]{1,255}$/.test(value);
  if (!ok) throw new UsageError(source, value, allowed(kind, false));
  return value;
}

function allowed(kind: Kind, asText: boolean): string {
  switch (kind.type) {
    case 'integer':
      return `an integer from ${kind.min} to ${kind.max}`;
    case 'duration':
      return asText
        ? `a duration like 250ms, 10s or 5m, from ${kind.minMs}ms to ${kind.maxMs / 60_000}m`
        : `milliseconds as an integer from ${kind.minMs} to ${kind.maxMs}`;
    case 'choice':
      return `one of ${kind.among.join(', ')}`;
    case 'boolean':
      return 'true or false';
    case 'text':
      return 'an address or a name of 1 to 255 characters without spaces';
  }
}

/** How an option is called where its value came from: `--port`, `KECHO_POOL_PORT`, `port`. */
export type NameOf = (spec: OptionSpec) => string;

/**
 * Checks given options, one by one and together, and fills in the defaults. Throws UsageError.
 * `nameOf` names an option in the error; by default its key in the API.
 */
export function resolveOptions(
  given: EchoServerOptions,
  nameOf: NameOf = (spec) => spec.key,
): EffectiveOptions {
  for (const key of Object.keys(given)) {
    if (OPTION_SPECS.some((spec) => spec.key === key)) continue;
    throw new UsageError(
      key,
      given[key as Key],
      `an option among ${OPTION_SPECS.map((s) => s.key).join(', ')}`,
    );
  }
  const options = defaults();
  const explicit = OPTION_SPECS.filter((spec) => given[spec.key] !== undefined);
  for (const spec of explicit) {
    Object.assign(options, { [spec.key]: checkOption(spec, given[spec.key], nameOf(spec)) });
  }
  for (const spec of explicit) {
    if (spec.only === undefined || spec.only.includes(options.strategy)) continue;
    const value = given[spec.key];
    throw new UsageError(
      nameOf(spec),
      value,
      `only with --strategy ${spec.only.join(' or ')}, not ${options.strategy}`,
    );
  }
  const maxWorkers = OPTION_SPECS.find((spec) => spec.key === 'maxWorkers') as OptionSpec;
  if (options.strategy === 'cmwq' && options.maxWorkers !== undefined && options.maxWorkers <= options.cpus) {
    throw new UsageError(
      nameOf(maxWorkers),
      options.maxWorkers,
      `at least ${options.cpus + 1}: one worker per CPU pool and one in reserve`,
    );
  }
  return options;
}
