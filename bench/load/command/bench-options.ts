/**
 * The options of `kecho-pool bench` and of `kecho-pool/bench`: what values they take, their defaults, and which exclude
 * each other. Pure.
 *
 * Command line and API read values in their own ways and name an option as their user does; the rules are here.
 */
import { UsageError, type ValueKind } from '../../../src/options/values.ts';
import {
  CLIENTS_MAX,
  DURATION_MS_MAX,
  MAX_CONNECTIONS_DEFAULT,
  MESSAGE_BYTES_MAX,
  RATE_MAX,
  REQUESTS_MAX,
  randomSeed,
  SEED_MAX,
  TIMEOUT_MS_MAX,
} from '../load-options.ts';
import { ARRIVALS, type Arrivals, MODES, type Mode } from '../result.ts';
import { checkThresholds, type Threshold } from './thresholds.ts';
import { parseTarget, type Stage, type TargetAddress } from './values.ts';

const REPEAT_MAX = 1000;
const CONNECTIONS_MAX = 1_000_000;
export const POINTS_MAX = 200;
const DEFAULT_CLIENTS = [10];
const DEFAULT_DURATION_MS = 5000;
const DEFAULT_RATE = 1000;

/** What the options with a single value allow. */
export const KINDS = {
  mode: { type: 'choice', among: MODES },
  requests: { type: 'integer', min: 1, max: REQUESTS_MAX },
  durationMs: { type: 'duration', minMs: 0, maxMs: DURATION_MS_MAX },
  rate: { type: 'number', min: 0.1, max: RATE_MAX },
  arrivals: { type: 'choice', among: ARRIVALS },
  messageBytes: { type: 'size', minBytes: 1, maxBytes: MESSAGE_BYTES_MAX },
  repeat: { type: 'integer', min: 1, max: REPEAT_MAX },
  warmupMs: { type: 'duration', minMs: 0, maxMs: DURATION_MS_MAX },
  timeoutMs: { type: 'duration', minMs: 1, maxMs: TIMEOUT_MS_MAX },
  maxConnections: { type: 'integer', min: 1, max: CONNECTIONS_MAX },
  seed: { type: 'integer', min: 0, max: SEED_MAX },
  serverAdmin: { type: 'adminAddress' },
  remote: { type: 'boolean' },
  pin: { type: 'boolean' },
} as const satisfies Record<string, ValueKind>;

export const CLIENTS_KIND = { type: 'integer', min: 1, max: CLIENTS_MAX } as const;

export const DEFAULTS = {
  mode: 'closed',
  messageBytes: 64,
  repeat: 1,
  warmupMs: 500,
  timeoutMs: 5000,
  maxConnections: MAX_CONNECTIONS_DEFAULT,
} as const;

/** Values as given; each is allowed by itself. */
export interface GivenOptions {
  target?: string | undefined;
  remote?: boolean | undefined;
  serverAdmin?: string | undefined;
  mode?: Mode | undefined;
  clients?: readonly number[] | undefined;
  stages?: readonly Stage[] | undefined;
  requests?: number | undefined;
  durationMs?: number | undefined;
  rate?: number | undefined;
  arrivals?: Arrivals | undefined;
  messageBytes?: number | undefined;
  repeat?: number | undefined;
  warmupMs?: number | undefined;
  timeoutMs?: number | undefined;
  maxConnections?: number | undefined;
  seed?: number | undefined;
  startAtMs?: number | undefined;
  pin?: boolean | undefined;
  thresholds?: readonly Threshold[] | undefined;
}

/** What differs between the points of a measurement. */
export interface Step {
  /** From 1; absent without stages. */
  stage?: number;
  clients: number;
  /** Open mode only. */
  rate: number;
  /** 0: one burst. */
  durationMs: number;
}

export interface BenchOptions {
  target: TargetAddress;
  /** The server's admin endpoint, for its CPU time. */
  serverAdmin?: string;
  mode: Mode;
  steps: readonly Step[];
  requests: number;
  messageBytes: number;
  repeat: number;
  warmupMs: number;
  timeoutMs: number;
  arrivals: Arrivals;
  maxConnections: number;
  seed: number;
  /** When the first run starts, in ms since 1970. */
  startAtMs?: number;
  /** The generator on a processor of its own. */
  pin: boolean;
  thresholds: readonly Threshold[];
}

type Name = (option: keyof GivenOptions) => string;

function requestsOf({ requests }: GivenOptions, mode: Mode, name: Name): number {
  if (requests === undefined) return mode === 'burst' ? 1 : 0;
  if (mode !== 'open') return requests;
  throw new UsageError(name('requests'), requests, `only with ${name('mode')} burst, closed or churn`);
}

function durationOf({ durationMs }: GivenOptions, mode: Mode, requests: number, name: Name): number {
  if (durationMs === 0 && mode !== 'burst')
    throw new UsageError(name('durationMs'), '0', `more than 0, except with ${name('mode')} burst`);
  if (durationMs !== undefined) return durationMs;
  if (mode === 'burst') return 0;
  return requests > 0 ? DURATION_MS_MAX : DEFAULT_DURATION_MS;
}

function onlyOpen(given: GivenOptions, option: 'rate' | 'arrivals', mode: Mode, name: Name): void {
  if (given[option] === undefined || mode === 'open') return;
  throw new UsageError(name(option), given[option], `only with ${name('mode')} open, not ${mode}`);
}

function stagesOf(given: GivenOptions, mode: Mode, name: Name): Step[] {
  const isOpen = mode === 'open';
  const doubled = (['requests', 'durationMs', isOpen ? 'rate' : 'clients'] as const).find(
    (option) => given[option] !== undefined,
  );
  if (doubled !== undefined)
    throw new UsageError(name(doubled), given[doubled], `not together with ${name('stages')}`);
  const [connections = DEFAULT_CLIENTS[0] as number, ...others] = given.clients ?? [];
  if (others.length > 0)
    throw new UsageError(name('clients'), given.clients, `a single number with ${name('stages')}`);
  return (given.stages ?? []).map(({ durationMs, amount }, i) => {
    const isClients = Number.isInteger(amount) && amount >= 1 && amount <= CLIENTS_MAX;
    const isRate = amount >= KINDS.rate.min && amount <= KINDS.rate.max;
    if (isOpen ? !isRate : !isClients)
      throw new UsageError(
        name('stages'),
        amount,
        isOpen
          ? `a rate from ${KINDS.rate.min} to ${RATE_MAX}`
          : `a number of clients from 1 to ${CLIENTS_MAX}`,
      );
    return {
      stage: i + 1,
      clients: isOpen ? connections : amount,
      rate: isOpen ? amount : DEFAULT_RATE,
      durationMs,
    };
  });
}

function stepsOf(given: GivenOptions, mode: Mode, requests: number, name: Name): Step[] {
  if (given.stages !== undefined) return stagesOf(given, mode, name);
  const durationMs = durationOf(given, mode, requests, name);
  const { rate = DEFAULT_RATE, clients = DEFAULT_CLIENTS } = given;
  return clients.map((count) => ({ clients: count, rate, durationMs }));
}

/** Adds the defaults. Throws UsageError, which names an option by `name`. */
export function completeOptions(given: GivenOptions, name: Name): BenchOptions {
  const {
    mode = DEFAULTS.mode,
    thresholds = [],
    target = '',
    remote = false,
    serverAdmin,
    startAtMs,
  } = given;
  const requests = requestsOf(given, mode, name);
  onlyOpen(given, 'rate', mode, name);
  onlyOpen(given, 'arrivals', mode, name);
  checkThresholds(thresholds, mode);
  if (serverAdmin !== undefined && mode === 'burst')
    throw new UsageError(name('serverAdmin'), serverAdmin, `only with ${name('mode')} closed, open or churn`);
  return {
    target: parseTarget(target, remote, name('remote')),
    ...(serverAdmin === undefined ? {} : { serverAdmin }),
    mode,
    steps: stepsOf(given, mode, requests, name),
    requests,
    messageBytes: given.messageBytes ?? DEFAULTS.messageBytes,
    repeat: given.repeat ?? DEFAULTS.repeat,
    warmupMs: given.warmupMs ?? DEFAULTS.warmupMs,
    timeoutMs: given.timeoutMs ?? DEFAULTS.timeoutMs,
    arrivals: given.arrivals ?? 'even',
    maxConnections: given.maxConnections ?? DEFAULTS.maxConnections,
    seed: given.seed ?? randomSeed(),
    ...(startAtMs === undefined ? {} : { startAtMs }),
    pin: given.pin ?? false,
    thresholds,
  };
}
