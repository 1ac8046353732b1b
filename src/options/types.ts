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
  /** Let other processes listen on the same port (SO_REUSEPORT; for restarts see net.ipv4.tcp_migrate_req). Default false. */
  reusePort?: boolean;
  /**
   * Where the admin endpoint listens: `9090`, `127.0.0.1:9090`, `[::1]:9090`, or a Unix socket: `/path`, `./path`,
   * `unix:path`. Loopback unless a host is given. The command makes the endpoint; in the API, where
   * `createAdmin` of `kecho-pool/admin` does, this only keeps descriptors for it. Default: none.
   */
  admin?: string;
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
   * What a handler does before each echo, like `burn:5ms,sleep:10ms` (see service-spec.ts); connection k, in the order
   * of accepting, uses the one with number k modulo their number. At most 64. Default none.
   */
  service?: readonly string[];
  /** Most connections at a time, 1 to 1,048,575. Default: the descriptor limit less a reserve. */
  maxConnections?: number;
  /** Most connections at a time from one IPv4 address or IPv6 prefix, 0 = no limit, to 1,048,575. Default 0. */
  maxConnectionsPerAddress?: number;
  /** IPv6 addresses that share this many leading bits count as one for maxConnectionsPerAddress, 1 to 128. Default 64. */
  ipv6PrefixLength?: number;
  /** kthread, workqueue: most connections that wait for a thread, 0 to 1,048,575. Default 65536. */
  maxQueue?: number;
  /** kthread, workqueue: how long a connection may wait for a thread, in ms, 0 = no limit, to 86,400,000. Default 0. */
  maxQueueAgeMs?: number;
  /**
   * cmwq: memory for echoes that peers do not take, in bytes, 0 to 4 GiB, in buffers of 64 KiB, one for each
   * such connection, and one for each CPU pool in reserve; when three quarters are in use no more is received than a
   * socket takes back. (Under the other strategies threads wait in send.) Default 64 MiB.
   */
  maxSpillBytes?: number;
  /** A connection silent in both directions for so long is reset, in ms, 0 = never, to 86,400,000. Default 0. */
  socketTimeoutMs?: number;
  /** A peer that takes nothing of an echo for so long is reset, in ms, 0 = never, to 86,400,000. Default 30,000. */
  writeTimeoutMs?: number;
  /** SO_KEEPALIVE: silence before the first probe, in ms, whole seconds, 0 = off, to 32,767,000. Default 60,000. */
  keepaliveTimeMs?: number;
  /** TCP_KEEPINTVL: between two probes, in ms, whole seconds, 1000 to 32,767,000. Default 10,000. */
  keepaliveIntervalMs?: number;
  /** TCP_KEEPCNT: unanswered probes until the connection ends, 1 to 127; the kernel goes by userTimeoutMs instead unless that is 0. Default 6. */
  keepaliveProbes?: number;
  /** TCP_USER_TIMEOUT: how long sent bytes may stay unacknowledged, in ms, 0 = as the system has it, to 86,400,000. Default 120,000. */
  userTimeoutMs?: number;
  /** How long open connections may go on after a stop was asked for, in ms, 0 to 86,400,000. Default 10,000. */
  drainTimeoutMs?: number;
  /**
   * Default `info`. Connections are logged at `debug`, single echoes at `trace`, payload never. At `trace` lines are
   * dropped when the main thread is too slow for them; the log says how many.
   */
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
  reusePort: boolean;
  admin: string | undefined;
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
  maxConnectionsPerAddress: number;
  ipv6PrefixLength: number;
  maxQueue: number;
  maxQueueAgeMs: number;
  maxSpillBytes: number;
  socketTimeoutMs: number;
  writeTimeoutMs: number;
  keepaliveTimeMs: number;
  keepaliveIntervalMs: number;
  keepaliveProbes: number;
  userTimeoutMs: number;
  drainTimeoutMs: number;
  logLevel: LogLevel;
  pretty: boolean;
}
