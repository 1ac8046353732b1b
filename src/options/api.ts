/**
 * The options of the API. Generated from specs.ts by `npm run docs:options`.
 */

/** Options of every strategy. */
interface CommonOptions {
  /**
   * Work that a handler does before each echo, such as burn:5ms,sleep:10ms or cpu-intensive,burn:20ms; if
   * repeated, connections take turns. `burn` uses CPU time, `sleep` blocks the thread. Of n services (at most
   * 64), the k-th accepted connection, counted from 0, uses number k modulo n. Default: none.
   */
  service?: readonly string[];
  /**
   * Module with a function that runs before each echo, such as ./work.ts or ./work.js#name. Only without
   * `service`. A relative path starts at the working directory. The function is synchronous: `(request:
   * Uint8Array, connection: { id, requests }) => void`; whatever it does, the same bytes are echoed. An
   * exception resets the connection and is logged with its message, which is the only way for bytes of a
   * client to get into the log. Allowed: the path of a module like ./work.ts, or of one and an export like
   * ./work.js#name. Default: none.
   */
  handler?: string;
  /**
   * Heap limit of a handler's thread, rounded up to whole MiB. Only with `handler`. A thread that exceeds it
   * dies, and loses the connection of its item. Allowed: bytes as an integer from 16777216 to 68719476736.
   * Default: V8's own limit.
   */
  handlerHeapBytes?: number;
  /**
   * TCP port; 0 = any free port. Allowed: an integer from 0 to 65535. Default: 12345.
   */
  port?: number;
  /**
   * IPv4 or IPv6 address, or a host name. Other machines can connect unless it is a loopback address.
   * Allowed: an address or a name of 1 to 255 characters without spaces or control characters. Default:
   * 127.0.0.1.
   */
  host?: string;
  /**
   * Maximum number of connections that wait in the kernel to be accepted. The kernel caps it at
   * `net.core.somaxconn`; the server then logs a warning. Allowed: an integer from 1 to 65535. Default: 4096.
   */
  backlog?: number;
  /**
   * Let other processes listen on the same port (SO_REUSEPORT); restarts reset no connection if
   * net.ipv4.tcp_migrate_req=1. The kernel distributes connections among the processes. Default: false.
   */
  reusePort?: boolean;
  /**
   * Serve metrics and the dashboard over HTTP on a port, an address such as 127.0.0.1:9090, or the path of a
   * Unix socket. A socket path begins with `/`, `./` or `unix:`. A port without a host is on loopback. The
   * command starts the endpoint; in a program, call `createAdmin` of `kecho-pool/admin`; this option only
   * reserves descriptors for it. Allowed: a port like 9090, an address like 127.0.0.1:9090 or [::1]:9090, or
   * the path of a Unix socket, which begins with /, ./ or unix: and has at most 107 bytes. Default: off.
   */
  admin?: string;
  /**
   * Maximum number of open connections; a connection beyond the limit is reset. Reduced to what the
   * descriptor limit allows. Allowed: an integer from 1 to 1048575. Default: descriptor limit less a reserve.
   */
  maxConnections?: number;
  /**
   * Maximum number of open connections from one IPv4 address or IPv6 prefix; 0 = no limit. Allowed: an
   * integer from 0 to 1048575. Default: 0.
   */
  maxConnectionsPerAddress?: number;
  /**
   * Leading bits that IPv6 addresses must share to count as one for `maxConnectionsPerAddress`. Allowed: an
   * integer from 1 to 128. Default: 64.
   */
  ipv6PrefixLength?: number;
  /**
   * Silence in both directions after which a connection is reset; 0 = never. Allowed: milliseconds as an
   * integer from 0 to 86400000. Default: 0.
   */
  socketTimeoutMs?: number;
  /**
   * Time without progress in sending an echo after which the connection is reset; 0 = never. Allowed:
   * milliseconds as an integer from 0 to 86400000. Default: 30000.
   */
  writeTimeoutMs?: number;
  /**
   * Silence before the first keepalive probe, in whole seconds; 0 = no probes. Sets `SO_KEEPALIVE` and
   * `TCP_KEEPIDLE`. Allowed: milliseconds as an integer from 0 to 32767000, a multiple of 1000. Default:
   * 60000.
   */
  keepaliveTimeMs?: number;
  /**
   * Time between keepalive probes, in whole seconds. Sets `TCP_KEEPINTVL`. Allowed: milliseconds as an
   * integer from 1000 to 32767000, a multiple of 1000. Default: 10000.
   */
  keepaliveIntervalMs?: number;
  /**
   * Unanswered keepalive probes after which a connection is closed; used only with `userTimeoutMs` 0. Sets
   * `TCP_KEEPCNT`. Allowed: an integer from 1 to 127. Default: 6.
   */
  keepaliveProbes?: number;
  /**
   * How long sent bytes and keepalive probes may stay unacknowledged (TCP_USER_TIMEOUT); 0 = system default.
   * Allowed: milliseconds as an integer from 0 to 86400000. Default: 120000.
   */
  userTimeoutMs?: number;
  /**
   * How long open connections may continue after SIGTERM, SIGINT or SIGHUP. In a program: after `close()`.
   * Allowed: milliseconds as an integer from 0 to 86400000. Default: 10000.
   */
  drainTimeoutMs?: number;
  /**
   * How long the server still accepts after SIGTERM, SIGINT or SIGHUP, while /readyz is 503, before it
   * drains. For servers behind a balancer, which needs its check interval to notice. `drainTimeoutMs` starts
   * after the delay. A second signal ends both. In a program: after `close()`. Allowed: milliseconds as an
   * integer from 0 to 86400000. Default: 0.
   */
  drainDelayMs?: number;
  /**
   * The least severe level that is logged, one of fatal, error, warn, info, debug, trace, silent. Connections
   * are logged at `debug`, single echoes at `trace`, bytes from clients never. At `trace`, lines are dropped
   * when the main thread cannot keep up; their number is logged. Default: info; in a program silent.
   */
  logLevel?: 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
  /**
   * Human-readable log; `pretty: false` logs JSON lines. Default: on if standard output is a terminal.
   */
  pretty?: boolean;
}

interface KthreadOptions extends CommonOptions {
  /**
   * How connections are dispatched to threads: kthread, workqueue or cmwq. Default: cmwq.
   */
  strategy: 'kthread';
  workers?: never;
  cpus?: never;
  affinityScope?: never;
  /**
   * Maximum number of threads. Under cmwq at least `cpus` + 1; the rescuer is not counted. Only with strategy
   * kthread or cmwq. Allowed: an integer from 1 to 2045. Default: 512, fewer if the descriptor limit is low.
   */
  maxWorkers?: number;
  idleTimeoutMs?: never;
  maxActive?: never;
  cpuIntensiveThreshMs?: never;
  hangTimeoutMs?: never;
  hangKill?: never;
  /**
   * Maximum number of connections that wait for a thread. Only with strategy kthread or workqueue. Allowed:
   * an integer from 0 to 1048575. Default: 65536.
   */
  maxQueue?: number;
  /**
   * How long a connection may wait for a thread before it is refused; 0 = no limit. Only with strategy
   * kthread or workqueue. Allowed: milliseconds as an integer from 0 to 86400000. Default: 0.
   */
  maxQueueAgeMs?: number;
  maxSpillBytes?: never;
}

interface WorkqueueOptions extends CommonOptions {
  /**
   * How connections are dispatched to threads: kthread, workqueue or cmwq. Default: cmwq.
   */
  strategy: 'workqueue';
  /**
   * Number of workers. Only with strategy workqueue. Allowed: an integer from 1 to 2046. Default: available
   * parallelism.
   */
  workers?: number;
  cpus?: never;
  affinityScope?: never;
  maxWorkers?: never;
  idleTimeoutMs?: never;
  maxActive?: never;
  cpuIntensiveThreshMs?: never;
  hangTimeoutMs?: never;
  hangKill?: never;
  /**
   * Maximum number of connections that wait for a thread. Only with strategy kthread or workqueue. Allowed:
   * an integer from 0 to 1048575. Default: 65536.
   */
  maxQueue?: number;
  /**
   * How long a connection may wait for a thread before it is refused; 0 = no limit. Only with strategy
   * kthread or workqueue. Allowed: milliseconds as an integer from 0 to 86400000. Default: 0.
   */
  maxQueueAgeMs?: number;
  maxSpillBytes?: never;
}

interface CmwqOptions extends CommonOptions {
  /**
   * How connections are dispatched to threads: kthread, workqueue or cmwq. Default: cmwq.
   */
  strategy?: 'cmwq';
  workers?: never;
  /**
   * Number of CPU pools. Only with strategy cmwq. Allowed: an integer from 1 to 256. Default: available
   * parallelism.
   */
  cpus?: number;
  /**
   * Where the items of a CPU pool may run: on any processor (system) or on one (cpu). With `system`, as in an
   * unbound workqueue, connections move from a CPU pool that always has more ready than it can run to one
   * that has little to do. With `cpu`, as in a bound one, they stay; a connection is placed by
   * SO_INCOMING_CPU, and the worker on duty for CPU pool k, with the programs that a handler starts, runs on
   * the k-th of the processors that the main thread may use, counted round. Only with strategy cmwq. Default:
   * system.
   */
  affinityScope?: 'system' | 'cpu';
  /**
   * Maximum number of threads. Under cmwq at least `cpus` + 1; the rescuer is not counted. Only with strategy
   * kthread or cmwq. Allowed: an integer from 1 to 2045. Default: 512, fewer if the descriptor limit is low.
   */
  maxWorkers?: number;
  /**
   * How long a surplus worker may stay idle. Only with strategy cmwq. Allowed: milliseconds as an integer
   * from 1 to 86400000. Default: 300000.
   */
  idleTimeoutMs?: number;
  /**
   * Maximum items in progress per CPU pool. Default and maximum are the kernel's `WQ_DFL_ACTIVE` and
   * `WQ_MAX_ACTIVE`. Only with strategy cmwq. Allowed: an integer from 1 to 2048. Default: 1024.
   */
  maxActive?: number;
  /**
   * CPU time after which an item no longer counts towards concurrency; 0 = never. Only with strategy cmwq.
   * Allowed: milliseconds as an integer from 0 to 3600000. Default: 10.
   */
  cpuIntensiveThreshMs?: number;
  /**
   * Time after which an unfinished item is reported as hung; 0 = never. Only with strategy cmwq. Allowed:
   * milliseconds as an integer from 0 to 86400000. Default: 0.
   */
  hangTimeoutMs?: number;
  /**
   * Terminate the thread of a hung item, and with it the connection. Only with `hangTimeoutMs` above 0. Only
   * with strategy cmwq. Default: false.
   */
  hangKill?: boolean;
  maxQueue?: never;
  maxQueueAgeMs?: never;
  /**
   * Memory for echoes that peers do not read, 64 KiB per such connection. Each CPU pool keeps a buffer of 64
   * KiB in reserve. Once three quarters of the memory are in use, the server receives from a connection only
   * as much as its socket can send back. Under kthread and workqueue the thread blocks in `send` instead.
   * Only with strategy cmwq. Allowed: bytes as an integer from 0 to 4294967296. Default: 67108864.
   */
  maxSpillBytes?: number;
}

/**
 * Options of {@link createEchoServer}; the command line has the same under `--kebab-case` names. `strategy` decides
 * which of them there are.
 */
export type EchoServerOptions = KthreadOptions | WorkqueueOptions | CmwqOptions;
