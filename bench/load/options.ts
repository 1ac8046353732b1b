/**
 * The load generator's options: defaults, limits with their reasons, and the loopback rule.
 *
 * Pure: it reads the arguments it is given and nothing else.
 */
import { isIPv4 } from 'node:net';
import { numberFlag, parseFlags, UsageError } from '../flags.ts';
import { PATTERNS } from './pattern.ts';
import { PORTS_PER_SOURCE, SOURCES_MAX } from './sources.ts';

export interface LoadOptions {
  mode: 'closed' | 'churn';
  address: string;
  port: number;
  /** Open connections (closed), or connections in flight (churn). */
  connections: number;
  messageBytes: number;
  warmupMs: number;
  durationMs: number;
  /** How long the connect phase and, at the end, the outstanding answers may take. */
  timeoutMs: number;
  /** Churn only: no more connections than this in all, a quarter of them for the warm-up. */
  maxConnections: number;
  /** The process whose CPU time is read at both ends of the window; 0 is none. */
  watchPid: number;
}

// More requests in flight than patterns, and two of them would carry the same bytes.
const CONNECTIONS_MAX = PATTERNS;
const MESSAGE_BYTES_MAX = 1024 * 1024;
// A generator that was started by mistake ends by itself.
const DURATION_MS_MAX = 600_000;
const TIMEOUT_MS_MAX = 60_000;
const PID_MAX = 2 ** 22;
// 127.0.0.1 to 127.0.0.250 with 4,000 ports each; see sources.ts.
const CHURN_MAX = SOURCES_MAX * PORTS_PER_SOURCE;

const FLAGS = {
  mode: { type: 'string', default: 'closed' },
  address: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string' },
  connections: { type: 'string', default: '1' },
  bytes: { type: 'string', default: '64' },
  'warmup-ms': { type: 'string', default: '1000' },
  'duration-ms': { type: 'string', default: '2000' },
  'timeout-ms': { type: 'string', default: '5000' },
  'max-connections': { type: 'string', default: '20000' },
  'watch-pid': { type: 'string', default: '0' },
} as const;

/** Only this machine is ever loaded: another one did not ask for it. */
function loopback(address: string): string {
  if (address === '::1' || (isIPv4(address) && address.startsWith('127.'))) return address;
  throw new UsageError(`--address must be a loopback address (127.0.0.0/8 or ::1), not "${address}"`);
}

function modeOf(text: string): LoadOptions['mode'] {
  if (text === 'closed' || text === 'churn') return text;
  throw new UsageError(`--mode is "closed" or "churn", not "${text}"`);
}

/** The options of a command line. Throws UsageError. */
export function loadOptions(args: string[]): LoadOptions {
  const flags = parseFlags({ args, options: FLAGS, strict: true });
  if (flags.port === undefined) throw new UsageError('--port is missing');
  return {
    mode: modeOf(flags.mode),
    address: loopback(flags.address),
    port: numberFlag('--port', flags.port, 1, 65535),
    connections: numberFlag('--connections', flags.connections, 1, CONNECTIONS_MAX),
    messageBytes: numberFlag('--bytes', flags.bytes, 1, MESSAGE_BYTES_MAX),
    warmupMs: numberFlag('--warmup-ms', flags['warmup-ms'], 0, DURATION_MS_MAX),
    durationMs: numberFlag('--duration-ms', flags['duration-ms'], 1, DURATION_MS_MAX),
    timeoutMs: numberFlag('--timeout-ms', flags['timeout-ms'], 1, TIMEOUT_MS_MAX),
    maxConnections: numberFlag('--max-connections', flags['max-connections'], 1, CHURN_MAX),
    watchPid: numberFlag('--watch-pid', flags['watch-pid'], 0, PID_MAX),
  };
}
