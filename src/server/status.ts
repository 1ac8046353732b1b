/**
 * What only main knows of the server's state; src/pool/shared-figures.ts has the rest of a status.
 *
 * Main thread only. Costs the echo path nothing.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import type { Events } from '../log/events.ts';
import type { SharedState } from '../memory/layout.ts';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import type { MainStatus } from '../pool/shared-figures.ts';
import type { ServerStats, ServerStatus } from '../schema/status.ts';
import type { SocketAddress } from '../sys/sockaddr.ts';

export interface StatusSources {
  options: EffectiveOptions;
  limits: Limits;
  shared: SharedState;
  address: SocketAddress | null;
  stats: ServerStats;
  events: Events;
  /** CPU time of the process when the server was created. */
  cpuAtStart: NodeJS.CpuUsage;
}

/** The version in package.json. */
export function packageVersion(): string {
  const up = import.meta.url.endsWith('.ts') ? '../../package.json' : '../../../package.json';
  return (JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as { version: string }).version;
}

const version = packageVersion();

export function collectMainStatus({
  options,
  limits,
  shared,
  address,
  stats,
  events,
  cpuAtStart,
}: StatusSources): MainStatus {
  const isCmwq = options.strategy === 'cmwq';
  return {
    version,
    pid: process.pid,
    node: process.version,
    uptimeMs: events.uptimeMs,
    address: address === null ? null : { address: address.address, port: address.port },
    limits: {
      maxConnections: limits.maxConnections,
      maxWorkers: limits.maxWorkers,
      maxActive: isCmwq ? options.maxActive : null,
      cpus: isCmwq ? options.cpus : null,
      maxQueue: isCmwq ? null : options.maxQueue,
      spillBuffers: shared.config.spills,
    },
    services: [...options.service],
    handler: options.handler ?? null,
    stats,
    process: processFigures(cpuAtStart),
    events: events.recent(),
  };
}

function processFigures(cpuAtStart: NodeJS.CpuUsage): ServerStatus['process'] {
  const { user, system } = process.cpuUsage(cpuAtStart);
  return {
    cpuUserSeconds: user / 1e6,
    cpuSystemSeconds: system / 1e6,
    residentBytes: unlessUnreadable(() => process.memoryUsage.rss()),
    descriptors: unlessUnreadable(openDescriptors),
  };
}

/** Since Linux 6.2 the folder's size is the count; reading the folder takes a millisecond per few hundred. */
function openDescriptors(): number {
  return statSync('/proc/self/fd').size || readdirSync('/proc/self/fd').length - 1; // less the reading one
}

/** A figure that the system may withhold; null then. */
function unlessUnreadable(read: () => number): number | null {
  try {
    return read();
  } catch {
    return null;
  }
}
