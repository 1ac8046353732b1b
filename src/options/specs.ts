/**
 * The table of options: range, flag, help and strategies of each. The one place that a new option needs.
 */
import { MAX_FD, MAX_WORKER_ID } from '../memory/layout.ts';
import { CPU_INTENSIVE_THRESH_MS, WQ_DFL_ACTIVE, WQ_MAX_ACTIVE } from '../memory/predicates.ts';
import { type EffectiveOptions, LOG_LEVELS, STRATEGIES, type StrategyName } from './types.ts';

export type OptionKey = keyof EffectiveOptions;
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

export interface OptionSpec {
  key: OptionKey;
  /** Long flag without dashes; the environment variable is KECHO_POOL_ and this in capitals. */
  flag: string;
  short?: string;
  kind: OptionKind;
  group: 'Listening' | 'Strategy' | 'Limits' | 'Logging';
  help: string;
  /** What the help shows as the default. */
  defaultText: string;
  /** The strategies that have this option; all when absent. */
  only?: readonly StrategyName[];
}

const DAY_MS = 86_400_000;
const GIB = 2 ** 30;
/** tcp(7): 32767 seconds (MAX_TCP_KEEPIDLE, MAX_TCP_KEEPINTVL). */
const MAX_KEEPALIVE_MS = 32_767_000;

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
    key: 'reusePort',
    flag: 'reuse-port',
    kind: { type: 'boolean' },
    group: 'Listening',
    help: 'let other processes listen on the same port (SO_REUSEPORT); the kernel spreads the connections; restarts reset none with net.ipv4.tcp_migrate_req=1',
    defaultText: 'off',
  },
  {
    key: 'admin',
    flag: 'admin',
    kind: { type: 'adminAddress' },
    group: 'Listening',
    help: 'show figures over HTTP: a port, an address like 127.0.0.1:9090, or a path for a Unix socket',
    defaultText: 'off',
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
    kind: { type: 'integer', min: 1, max: MAX_WORKER_ID - 1 }, // one id is the rescuer's
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
    key: 'maxActive',
    flag: 'max-active',
    kind: { type: 'integer', min: 1, max: WQ_MAX_ACTIVE },
    group: 'Strategy',
    help: 'most begun and unfinished items of a CPU pool',
    defaultText: String(WQ_DFL_ACTIVE),
    only: ['cmwq'],
  },
  {
    key: 'cpuIntensiveThreshMs',
    flag: 'cpu-intensive-thresh',
    kind: { type: 'duration', minMs: 0, maxMs: 3_600_000 },
    group: 'Strategy',
    help: 'an item awake for longer leaves the concurrency count, 0 = never',
    defaultText: `${CPU_INTENSIVE_THRESH_MS}ms`,
    only: ['cmwq'],
  },
  {
    key: 'hangTimeoutMs',
    flag: 'hang-timeout',
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    group: 'Strategy',
    help: 'an item that takes longer is reported, 0 = never',
    defaultText: '0',
    only: ['cmwq'],
  },
  {
    key: 'hangKill',
    flag: 'hang-kill',
    kind: { type: 'boolean' },
    group: 'Strategy',
    help: 'end the thread of an item that hangs, and its connection',
    defaultText: 'off',
    only: ['cmwq'],
  },
  {
    key: 'service',
    flag: 'service',
    kind: { type: 'services' },
    group: 'Strategy',
    help: 'what a handler does before each echo, like burn:5ms,sleep:10ms or cpu-intensive,burn:20ms; given again, connections take turns',
    defaultText: 'nothing',
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
    key: 'maxConnectionsPerAddress',
    flag: 'max-connections-per-address',
    kind: { type: 'integer', min: 0, max: MAX_FD },
    group: 'Limits',
    help: 'most connections at a time from one IPv4 address or IPv6 prefix, 0 = no limit',
    defaultText: '0',
  },
  {
    key: 'ipv6PrefixLength',
    flag: 'ipv6-prefix-length',
    kind: { type: 'integer', min: 1, max: 128 },
    group: 'Limits',
    help: 'IPv6 addresses that share this many bits count as one for --max-connections-per-address',
    defaultText: '64',
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
    key: 'maxQueueAgeMs',
    flag: 'max-queue-age',
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    group: 'Limits',
    help: 'how long a connection may wait for a thread before it is refused, 0 = no limit',
    defaultText: '0',
    only: ['kthread', 'workqueue'],
  },
  {
    key: 'maxSpillBytes',
    flag: 'max-spill',
    kind: { type: 'size', minBytes: 0, maxBytes: 4 * GIB },
    group: 'Limits',
    help: 'memory for echoes that peers do not take, 64 KiB for each such connection; when it runs short, no more is received than a socket takes back',
    defaultText: '64MiB',
    only: ['cmwq'],
  },
  {
    key: 'socketTimeoutMs',
    flag: 'socket-timeout',
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    group: 'Limits',
    help: 'a connection silent for so long in both directions is reset, 0 = never',
    defaultText: '0',
  },
  {
    key: 'writeTimeoutMs',
    flag: 'write-timeout',
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    group: 'Limits',
    help: 'a peer that takes nothing of an echo for so long is reset, 0 = never',
    defaultText: '30s',
  },
  {
    key: 'keepaliveTimeMs',
    flag: 'keepalive-time',
    kind: { type: 'duration', minMs: 0, maxMs: MAX_KEEPALIVE_MS, stepMs: 1000 },
    group: 'Limits',
    help: 'silence after which the kernel asks whether a peer still is there, in whole seconds, 0 = never',
    defaultText: '60s',
  },
  {
    key: 'keepaliveIntervalMs',
    flag: 'keepalive-interval',
    kind: { type: 'duration', minMs: 1000, maxMs: MAX_KEEPALIVE_MS, stepMs: 1000 },
    group: 'Limits',
    help: 'time between two such questions, in whole seconds',
    defaultText: '10s',
  },
  {
    key: 'keepaliveProbes',
    flag: 'keepalive-probes',
    kind: { type: 'integer', min: 1, max: 127 },
    group: 'Limits',
    help: 'unanswered questions until the connection ends; counts only with --user-timeout 0',
    defaultText: '6',
  },
  {
    key: 'userTimeoutMs',
    flag: 'user-timeout',
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    group: 'Limits',
    help: 'how long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT), and keepalive questions unanswered; 0 = as the system has it',
    defaultText: '2m',
  },
  {
    key: 'drainTimeoutMs',
    flag: 'drain-timeout',
    kind: { type: 'duration', minMs: 0, maxMs: DAY_MS },
    group: 'Limits',
    help: 'how long open connections may go on after SIGTERM, SIGINT or SIGHUP',
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
