/**
 * The options of a server, as the API takes them and as the server uses them.
 */

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
  /** kthread, cmwq: most threads, 1 (cmwq: cpus + 1) to 2045. Default 512, or what the descriptor limit allows. */
  maxWorkers?: number;
  /** cmwq: how long a worker that is too many stays idle, in ms, 1 to 86,400,000. Default 300,000. */
  idleTimeoutMs?: number;
  /** cmwq: most begun and unfinished items of a CPU pool, 1 to 2048 (WQ_MAX_ACTIVE). Default 1024. */
  maxActive?: number;
  /** cmwq: an item awake for longer leaves the concurrency count, in ms, 0 = never, to 3,600,000. Default 10. */
  cpuIntensiveThreshMs?: number;
  /** cmwq: an item that takes longer is reported, in ms, 0 = never, to 86,400,000. Default 0. */
  hangTimeoutMs?: number;
  /** cmwq: end the thread of an item that hangs, and with it its connection. Default false. */
  hangKill?: boolean;
  /**
   * What a handler does before each echo, like `burn:5ms,sleep:10ms` (see service.ts); connection k, in the order
   * of accepting, uses the one with number k modulo their number. At most 64. Default none.
   */
  service?: readonly string[];
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
  maxActive: number;
  cpuIntensiveThreshMs: number;
  hangTimeoutMs: number;
  hangKill: boolean;
  service: readonly string[];
  maxConnections: number | undefined;
  maxQueue: number;
  drainTimeoutMs: number;
  logLevel: LogLevel;
  pretty: boolean;
}
