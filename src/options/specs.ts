/**
 * The table of options: name, range, default, help and documentation of each. A new option needs only an entry here.
 *
 * Derived from it: the flag (`idleTimeoutMs` is `--idle-timeout`), the environment variable, the types, and the files
 * that `npm run docs:options` writes (docs/options.md, api.ts).
 */
import { availableParallelism } from 'node:os';
import { MAX_FD, MAX_WORKER_ID } from '../memory/layout.ts';
import {
  CPU_INTENSIVE_THRESH_MS,
  IDLE_WORKER_TIMEOUT_MS,
  WQ_DFL_ACTIVE,
  WQ_MAX_ACTIVE,
} from '../memory/predicates.ts';
import {
  AFFINITY_SCOPES,
  type Described,
  LOG_LEVELS,
  type Option,
  type OptionKind,
  STRATEGIES,
  type Value,
  type ValueOf,
} from './types.ts';

const DAY_MS = 86_400_000;
const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** 32767 seconds (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL in the kernel's net/tcp.h). */
const MAX_KEEPALIVE_MS = 32_767_000;
const MAX_CPUS = 256;
/** Unless the descriptor limit allows fewer. */
export const DEFAULT_MAX_WORKERS = 512;

const STRATEGY = {
  strategy: {
    short: 's',
    kind: { type: 'choice', among: STRATEGIES },
    default: 'cmwq',
    help: 'how connections are dispatched to threads: kthread, workqueue or cmwq',
  },
  workers: {
    kind: { type: 'integer', min: 1, max: MAX_WORKER_ID },
    default: availableParallelism,
    defaultText: 'available parallelism',
    help: 'number of workers',
    only: ['workqueue'],
  },
  cpus: {
    kind: { type: 'integer', min: 1, max: MAX_CPUS },
    default: () => Math.min(MAX_CPUS, availableParallelism()),
    defaultText: 'available parallelism',
    help: 'number of CPU pools',
    only: ['cmwq'],
  },
  affinityScope: {
    kind: { type: 'choice', among: AFFINITY_SCOPES },
    default: 'system',
    help: 'where the items of a CPU pool may run: on any processor (system) or on one (cpu)',
    details:
      'With `system`, as in an unbound workqueue, connections move from a CPU pool that always has more ready than it can run to one that has little to do. With `cpu`, as in a bound one, they stay; a connection is placed by SO_INCOMING_CPU, and the worker on duty for CPU pool k, with the programs that a handler starts, runs on the k-th of the processors that the main thread may use, counted round.',
    only: ['cmwq'],
  },
  maxWorkers: {
    kind: { type: 'integer', min: 1, max: MAX_WORKER_ID - 1 }, // one id is the rescuer's
    default: undefined,
    defaultText: `${DEFAULT_MAX_WORKERS}, fewer if the descriptor limit is low`,
    help: 'maximum number of threads',
    details: 'Under cmwq at least `--cpus` + 1; the rescuer is not counted.',
    only: ['kthread', 'cmwq'],
  },
  idleTimeoutMs: {
    kind: { type: 'duration', minMs: 1, maxMs: DAY_MS },
    default: IDLE_WORKER_TIMEOUT_MS,
    help: 'how long a surplus worker may stay idle',
    only: ['cmwq'],
  },
  maxActive: {
    kind: { type: 'integer', min: 1, max: WQ_MAX_ACTIVE },
    default: WQ_DFL_ACTIVE,
    help: 'maximum items in progress per CPU pool',
    details: "Default and maximum are the kernel's `WQ_DFL_ACTIVE` and `WQ_MAX_ACTIVE`.",
    only: ['cmwq'],
  },
  cpuIntensiveThreshMs: {
    kind: { type: 'duration', minMs: 0, maxMs: 3_600_000 },
    default: CPU_INTENSIVE_THRESH_MS,
    help: 'CPU time after which an item no longer counts towards concurrency; 0 = never',
    only: ['cmwq'],
  },
  hangTimeoutMs: {
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    default: 0,
    help: 'time after which an unfinished item is reported as hung; 0 = never',
    only: ['cmwq'],
  },
  hangKill: {
    kind: { type: 'boolean' },
    default: false,
    help: 'terminate the thread of a hung item, and with it the connection',
    details: 'Only with `--hang-timeout` above 0.',
    only: ['cmwq'],
  },
  service: {
    kind: { type: 'services' },
    default: [],
    help: 'work that a handler does before each echo, such as burn:5ms,sleep:10ms or cpu-intensive,burn:20ms; if repeated, connections take turns',
    details:
      '`burn` uses CPU time, `sleep` blocks the thread. Of n services (at most 64), the k-th accepted connection, counted from 0, uses number k modulo n.',
  },
} as const satisfies Record<string, Option>;

const HANDLER = {
  handler: {
    kind: { type: 'module' },
    default: undefined,
    defaultText: 'none',
    help: 'module with a function that runs before each echo, such as ./work.ts or ./work.js#name',
    details:
      'Only without `--service`. A relative path starts at the working directory. The function is synchronous: `(request: Uint8Array, connection: { id, requests }) => void`; whatever it does, the same bytes are echoed. An exception resets the connection and is logged with its message, which is the only way for bytes of a client to get into the log.',
  },
  handlerHeapBytes: {
    kind: { type: 'size', minBytes: 16 * MIB, maxBytes: 64 * GIB },
    default: undefined,
    defaultText: "V8's own limit",
    help: "heap limit of a handler's thread, rounded up to whole MiB",
    details: 'Only with `--handler`. A thread that exceeds it dies, and loses the connection of its item.',
  },
} as const satisfies Record<string, Option>;

const LISTENING = {
  port: {
    short: 'p',
    kind: { type: 'integer', min: 0, max: 65535 },
    default: 12345,
    help: 'TCP port; 0 = any free port',
  },
  host: {
    short: 'H',
    kind: { type: 'text' },
    default: '127.0.0.1',
    help: 'IPv4 or IPv6 address, or a host name',
    details: 'Other machines can connect unless it is a loopback address.',
  },
  backlog: {
    short: 'b',
    kind: { type: 'integer', min: 1, max: 65535 },
    default: 4096,
    help: 'maximum number of connections that wait in the kernel to be accepted',
    details: 'The kernel caps it at `net.core.somaxconn`; the server then logs a warning.',
  },
  reusePort: {
    kind: { type: 'boolean' },
    default: false,
    help: 'let other processes listen on the same port (SO_REUSEPORT); restarts reset no connection if net.ipv4.tcp_migrate_req=1',
    details: 'The kernel distributes connections among the processes.',
  },
  admin: {
    kind: { type: 'adminAddress' },
    default: undefined,
    defaultText: 'off',
    help: 'serve metrics and the dashboard over HTTP on a port, an address such as 127.0.0.1:9090, or the path of a Unix socket',
    details:
      'A socket path begins with `/`, `./` or `unix:`. A port without a host is on loopback. The command starts the endpoint; in a program, call `createAdmin` of `kecho-pool/admin`; this option only reserves descriptors for it.',
  },
} as const satisfies Record<string, Option>;

const LIMITS = {
  maxConnections: {
    kind: { type: 'integer', min: 1, max: MAX_FD },
    default: undefined,
    defaultText: 'descriptor limit less a reserve',
    help: 'maximum number of open connections; a connection beyond the limit is reset',
    details: 'Reduced to what the descriptor limit allows.',
  },
  maxConnectionsPerAddress: {
    kind: { type: 'integer', min: 0, max: MAX_FD },
    default: 0,
    help: 'maximum number of open connections from one IPv4 address or IPv6 prefix; 0 = no limit',
  },
  ipv6PrefixLength: {
    kind: { type: 'integer', min: 1, max: 128 },
    default: 64,
    help: 'leading bits that IPv6 addresses must share to count as one for --max-connections-per-address',
  },
  maxQueue: {
    kind: { type: 'integer', min: 0, max: MAX_FD },
    default: 65536,
    help: 'maximum number of connections that wait for a thread',
    only: ['kthread', 'workqueue'],
  },
  maxQueueAgeMs: {
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    default: 0,
    help: 'how long a connection may wait for a thread before it is refused; 0 = no limit',
    only: ['kthread', 'workqueue'],
  },
  maxSpillBytes: {
    kind: { type: 'size', minBytes: 0, maxBytes: 4 * GIB },
    default: 64 * MIB,
    help: 'memory for echoes that peers do not read, 64 KiB per such connection',
    details:
      'Each CPU pool keeps a buffer of 64 KiB in reserve. Once three quarters of the memory are in use, the server receives from a connection only as much as its socket can send back. Under kthread and workqueue the thread blocks in `send` instead.',
    only: ['cmwq'],
  },
  socketTimeoutMs: {
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    default: 0,
    help: 'silence in both directions after which a connection is reset; 0 = never',
  },
  writeTimeoutMs: {
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    default: 30_000,
    help: 'time without progress in sending an echo after which the connection is reset; 0 = never',
  },
  keepaliveTimeMs: {
    kind: { type: 'duration', minMs: 0, maxMs: MAX_KEEPALIVE_MS, stepMs: 1000 },
    default: 60_000,
    help: 'silence before the first keepalive probe, in whole seconds; 0 = no probes',
    details: 'Sets `SO_KEEPALIVE` and `TCP_KEEPIDLE`.',
  },
  keepaliveIntervalMs: {
    kind: { type: 'duration', minMs: 1000, maxMs: MAX_KEEPALIVE_MS, stepMs: 1000 },
    default: 10_000,
    help: 'time between keepalive probes, in whole seconds',
    details: 'Sets `TCP_KEEPINTVL`.',
  },
  keepaliveProbes: {
    kind: { type: 'integer', min: 1, max: 127 },
    default: 6,
    help: 'unanswered keepalive probes after which a connection is closed; used only with --user-timeout 0',
    details: 'Sets `TCP_KEEPCNT`.',
  },
  userTimeoutMs: {
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    default: 120_000,
    help: 'how long sent bytes and keepalive probes may stay unacknowledged (TCP_USER_TIMEOUT); 0 = system default',
  },
  drainTimeoutMs: {
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    default: 10_000,
    help: 'how long open connections may continue after SIGTERM, SIGINT or SIGHUP',
    details: 'In a program: after `close()`.',
  },
  drainDelayMs: {
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    default: 0,
    help: 'how long the server still accepts after SIGTERM, SIGINT or SIGHUP, while /readyz is 503, before it drains',
    details:
      'For servers behind a balancer, which needs its check interval to notice. `--drain-timeout` starts after the delay. A second signal ends both. In a program: after `close()`.',
  },
} as const satisfies Record<string, Option>;

const LOGGING = {
  logLevel: {
    kind: { type: 'choice', among: LOG_LEVELS },
    default: () => 'info',
    defaultText: 'info; in a program silent',
    help: `the least severe level that is logged, one of ${LOG_LEVELS.join(', ')}`,
    details:
      'Connections are logged at `debug`, single echoes at `trace`, bytes from clients never. At `trace`, lines are dropped when the main thread cannot keep up; their number is logged.',
  },
  pretty: {
    kind: { type: 'boolean' },
    default: () => process.stdout.isTTY === true,
    defaultText: 'on if standard output is a terminal',
    help: 'human-readable log; --no-pretty logs JSON lines',
  },
} as const satisfies Record<string, Option>;

const GROUPS = {
  Strategy: STRATEGY,
  Handler: HANDLER,
  Listening: LISTENING,
  Limits: LIMITS,
  Logging: LOGGING,
};
type Options = typeof STRATEGY & typeof HANDLER & typeof LISTENING & typeof LIMITS & typeof LOGGING;

export type OptionKey = keyof Options;
/** Options after defaults; `undefined` if an option has no default, or one that depends on the descriptor limit. */
export type EffectiveOptions = { -readonly [Key in OptionKey]: ValueOf<Options[Key]> };
/** Options before defaults and checks, from any source. */
export type GivenOptions = Partial<EffectiveOptions>;

/** An option with everything derived from its place in the table. */
export interface OptionSpec extends Described {
  key: OptionKey;
  /** Long flag without the leading dashes. */
  flag: string;
  group: keyof typeof GROUPS;
  default: Option['default'];
  /** The default in words, or as a user would write it. */
  defaultText: string;
}

export const OPTION_SPECS: readonly OptionSpec[] = Object.entries(GROUPS).flatMap(([group, options]) =>
  Object.entries<Option>(options).map(([key, option]) => ({
    ...option,
    key: key as OptionKey, // a key of GROUPS' tables
    flag: flagOf(key),
    group: group as keyof typeof GROUPS,
    defaultText: 'defaultText' in option ? option.defaultText : asText(option.kind, option.default),
  })),
);

/** Drops the unit: a flag has it in its value. */
function flagOf(key: string): string {
  return key.replace(/(?:Ms|Bytes)$/, '').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** A value as a user would write it. */
function asText({ type }: OptionKind, value: Value): string {
  if (Array.isArray(value)) return value.join(';') || 'none';
  if (typeof value === 'boolean') return value ? 'on' : 'off';
  if (typeof value !== 'number' || value === 0) return String(value);
  if (type === 'size') return value % MIB === 0 ? `${value / MIB}MiB` : `${value}B`;
  if (type !== 'duration') return String(value);
  if (value % 60_000 === 0) return `${value / 60_000}m`;
  return value % 1000 === 0 ? `${value / 1000}s` : `${value}ms`;
}
