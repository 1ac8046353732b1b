/**
 * The load generator's options: defaults, limits with their reasons, and the rule for targets. Pure.
 */
import { isIP } from 'node:net';
import { choice, UsageError } from '../../src/options/values.ts';
import { LOOPBACK, loopbackAddress } from '../../src/sys/loopback.ts';
import { numberFlag, parseFlags } from '../flags.ts';
import { MESSAGES_MAX } from './pattern.ts';
import { ARRIVALS, type Arrivals, MODES, type Mode, SHAPES, type Shape } from './result.ts';
import { PORTS_PER_SOURCE, SOURCES_MAX } from './sources.ts';

export interface LoadOptions {
  mode: Mode;
  address: string;
  port: number;
  /** Open connections, or connections in flight (churn). */
  clients: number;
  /** Requests (churn: connections) per client; 0: the duration ends the run. */
  requests: number;
  messageBytes: number;
  /** First byte of each message, which may tell the server's handler what to do; null: random. */
  firstByte: number | null;
  warmupMs: number;
  /** Length of the window. Burst mode repeats bursts until it is over; 0 is one burst. */
  durationMs: number;
  /** How long a connect and an answer may take. */
  timeoutMs: number;
  /** Answers within this time count in the goodput; null: not of interest. */
  withinMs: number | null;
  /** Open: requests per second over all connections. */
  rate: number;
  /** Open: when requests are due. */
  arrivals: Arrivals;
  /** Churn and burst: maximum connections in total, at most a quarter of them in the warm-up. */
  maxConnections: number;
  /** How the load is spread over the connections: evenly, or see skewed.ts (closed) and zipf.ts (open). */
  shape: Shape;
  /** Seed of the message bytes, of Zipf's law and of the arrivals. */
  seed: number;
  /** Processes whose CPU time and threads are measured. */
  watchPids: readonly number[];
  /** The control group of these processes, which then has their CPU time; empty: without. */
  watchCgroup: string;
  /** How much longer the warm-up may get, until the server's CPU time per request has settled. */
  settleMs: number;
  /** The port of an echo.ts for the generator's own warm-up; 0: without. */
  echoPort: number;
  /** Report all times, as histograms. */
  withHistogram: boolean;
  /** Report the progress, too; see live.ts. */
  live: boolean;
  /** End the run early and report it when standard input is readable or closed. */
  stdinStops: boolean;
}

/** With more clients, two requests in flight could carry the same bytes. */
export const CLIENTS_MAX = MESSAGES_MAX / 2;
export const MESSAGE_BYTES_MAX = 1024 * 1024;
/** Bounds a run that was started by mistake. */
export const DURATION_MS_MAX = 600_000;
export const TIMEOUT_MS_MAX = 60_000;
export const REQUESTS_MAX = 10_000_000;
/** Several times what one thread can send; a higher rate is a typo. */
export const RATE_MAX = 1_000_000;
/** Descriptors for Node itself: its event loop, the standard streams, some in reserve. */
export const DESCRIPTOR_RESERVE = 64;
export const SEED_MAX = 2 ** 31 - 1;
/** Enough for several bursts of 1,000 clients; a closed connection holds its port for a minute. */
export const MAX_CONNECTIONS_DEFAULT = 20_000;
const PID_MAX = 2 ** 22;
// 127.0.0.1 to 127.0.0.250 with 4,000 ports each; see sources.ts.
const CONNECTIONS_MAX = SOURCES_MAX * PORTS_PER_SOURCE;

const FLAGS = {
  mode: { type: 'string', default: 'closed' },
  address: { type: 'string', default: LOOPBACK },
  port: { type: 'string' },
  clients: { type: 'string' },
  connections: { type: 'string', default: '1' }, // the older name of --clients
  requests: { type: 'string' },
  bytes: { type: 'string', default: '64' },
  'first-byte': { type: 'string' },
  'warmup-ms': { type: 'string', default: '1000' },
  'duration-ms': { type: 'string', default: '2000' },
  'timeout-ms': { type: 'string', default: '5000' },
  'within-ms': { type: 'string' },
  rate: { type: 'string', default: '1000' },
  arrivals: { type: 'string', default: 'even' },
  'max-connections': { type: 'string', default: String(MAX_CONNECTIONS_DEFAULT) },
  shape: { type: 'string', default: 'even' },
  seed: { type: 'string' },
  'watch-pid': { type: 'string', default: '' },
  'watch-cgroup': { type: 'string', default: '' },
  'settle-ms': { type: 'string', default: '0' },
  'echo-port': { type: 'string', default: '0' },
  histogram: { type: 'boolean', default: false },
  live: { type: 'boolean', default: false },
  remote: { type: 'boolean', default: false },
  'stdin-stops': { type: 'boolean', default: false },
} as const;

/** Only this machine without --remote, so that a typo does not load another host. */
function targetAddress(text: string, remote: boolean): string {
  const address = loopbackAddress(text) ?? (remote && isIP(text) !== 0 ? text : null);
  if (address !== null) return address;
  const allowed = remote ? 'an IP address' : 'a loopback address (127.0.0.0/8 or ::1), or any with --remote';
  throw new UsageError('--address', text, allowed);
}

export function randomSeed(): number {
  return Math.floor(Math.random() * SEED_MAX);
}

function pidsOf(text: string): number[] {
  const pids = text.split(',').filter((pid) => pid !== '' && pid !== '0');
  return pids.map((pid) => numberFlag('--watch-pid', pid, 1, PID_MAX));
}

function shapeOf(text: string, mode: Mode): Shape {
  const shape = choice(SHAPES)(text, '--shape');
  const only = { even: mode, skewed: 'closed', zipf: 'open' }[shape];
  if (mode === only) return shape;
  throw new UsageError('--shape', text, `only with --mode ${only}, not ${mode}`);
}

function arrivalsOf(text: string, mode: Mode): Arrivals {
  const arrivals = choice(ARRIVALS)(text, '--arrivals');
  if (mode === 'open' || arrivals === 'even') return arrivals;
  throw new UsageError('--arrivals', text, `only with --mode open, not ${mode}`);
}

/** Throws UsageError when the clients need more descriptors than `limit`. */
export function checkDescriptors(clients: number, limit: number): void {
  const most = limit - DESCRIPTOR_RESERVE;
  if (clients > most)
    throw new UsageError('--clients', clients, `at most ${most}, from the descriptor limit (ulimit -n)`);
}

/** Parses a command line. Throws UsageError. */
export function loadOptions(args: string[]): LoadOptions {
  const flags = parseFlags({ args, options: FLAGS, strict: true });
  if (flags.port === undefined)
    throw new UsageError('--port', undefined, 'the port of the server', 'a value is missing');
  const mode = choice(MODES)(flags.mode, '--mode');
  const requests = flags.requests ?? (mode === 'burst' ? '1' : '0');
  const { 'first-byte': firstByte, 'within-ms': within } = flags;
  return {
    mode,
    address: targetAddress(flags.address, flags.remote),
    port: numberFlag('--port', flags.port, 1, 65535),
    clients: numberFlag('--clients', flags.clients ?? flags.connections, 1, CLIENTS_MAX),
    requests: numberFlag('--requests', requests, mode === 'burst' ? 1 : 0, REQUESTS_MAX),
    messageBytes: numberFlag('--bytes', flags.bytes, 1, MESSAGE_BYTES_MAX),
    firstByte: firstByte === undefined ? null : numberFlag('--first-byte', firstByte, 0, 255),
    warmupMs: numberFlag('--warmup-ms', flags['warmup-ms'], 0, DURATION_MS_MAX),
    durationMs: numberFlag('--duration-ms', flags['duration-ms'], mode === 'burst' ? 0 : 1, DURATION_MS_MAX),
    timeoutMs: numberFlag('--timeout-ms', flags['timeout-ms'], 1, TIMEOUT_MS_MAX),
    withinMs: within === undefined ? null : numberFlag('--within-ms', within, 1, TIMEOUT_MS_MAX),
    rate: numberFlag('--rate', flags.rate, 0.1, RATE_MAX, true),
    arrivals: arrivalsOf(flags.arrivals, mode),
    maxConnections: numberFlag('--max-connections', flags['max-connections'], 1, CONNECTIONS_MAX),
    shape: shapeOf(flags.shape, mode),
    seed: flags.seed === undefined ? randomSeed() : numberFlag('--seed', flags.seed, 0, SEED_MAX),
    watchPids: pidsOf(flags['watch-pid']),
    watchCgroup: flags['watch-cgroup'],
    settleMs: numberFlag('--settle-ms', flags['settle-ms'], 0, DURATION_MS_MAX),
    echoPort: numberFlag('--echo-port', flags['echo-port'], 0, 65535),
    withHistogram: flags.histogram,
    live: flags.live,
    stdinStops: flags['stdin-stops'],
  };
}
