/**
 * Whether something that was received is a server's status, as far as its figures are shown. Pure.
 */
import type { ServerStatus } from '../server/status.ts';

const NUMBERS = [
  'pid',
  'uptimeMs',
  'limits.maxConnections',
  'stats.connections.accepted',
  'stats.connections.active',
  'stats.connections.queued',
  'stats.connections.lingering',
  'stats.bytesIn',
  'stats.bytesOut',
  'stats.echoes',
  'stats.items.started',
  'stats.items.completed',
  'stats.items.cmWakeup',
  'stats.items.rescued',
  'stats.items.cpuIntensive',
  'stats.items.mayday',
  'stats.threads.alive',
  'process.cpuUserSeconds',
  'process.cpuSystemSeconds',
];
const OPTIONAL_NUMBERS = ['process.residentBytes', 'process.descriptors'];
const STRINGS = ['version', 'node', 'stats.state', 'stats.strategy'];

type Fields = Record<string, unknown>;

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function at(value: unknown, path: string): unknown {
  return path.split('.').reduce((inner, name) => (isFields(inner) ? inner[name] : undefined), value);
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isNumberOrNull(value: unknown): boolean {
  return value === null || isNumber(value);
}

function areNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.every(isNumber);
}

function isHistogram(value: unknown): boolean {
  return (
    isFields(value) &&
    areNumbers(value.boundsSeconds) &&
    areNumbers(value.counts) &&
    isNumber(value.count) &&
    isNumber(value.sumSeconds)
  );
}

function isWorker(value: unknown): boolean {
  if (!isFields(value) || typeof value.state !== 'string' || typeof value.holdsSlot !== 'boolean')
    return false;
  const { id, started, echoes, pool, connection } = value;
  return [id, started, echoes].every(isNumber) && [pool, connection].every(isNumberOrNull);
}

function isPool(value: unknown): boolean {
  return (
    isFields(value) &&
    [value.connections, value.nrRunning, value.nrActive].every(isNumber) &&
    (isNumber(value.slot) || typeof value.slot === 'string')
  );
}

function isListOf(value: unknown, is: (one: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(is);
}

function isAddress(value: unknown): boolean {
  return value === null || (typeof at(value, 'address') === 'string' && isNumber(at(value, 'port')));
}

export function isServerStatus(value: unknown): value is ServerStatus {
  const refused = at(value, 'stats.connections.refused');
  return (
    NUMBERS.every((path) => isNumber(at(value, path))) &&
    STRINGS.every((path) => typeof at(value, path) === 'string') &&
    isAddress(at(value, 'address')) &&
    isFields(refused) &&
    Object.values(refused).every(isNumber) &&
    OPTIONAL_NUMBERS.every((path) => isNumberOrNull(at(value, path))) &&
    isHistogram(at(value, 'latency.dispatch')) &&
    isHistogram(at(value, 'latency.echo')) &&
    isListOf(at(value, 'workers'), isWorker) &&
    isListOf(at(value, 'stats.cpuPools'), isPool)
  );
}
