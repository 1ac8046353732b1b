/**
 * The CPU time in a window of a server on another machine, whose processes cannot be seen from here: by its admin endpoint,
 * or as compare reads it there (CpuReadings).
 *
 * A status is up to 100 ms old, so those at the ends of the window do not span exactly the window. Each has its own
 * time: the figure is the CPU time per second between them, times the length of the window. That holds for a steady
 * load only.
 */
import { parseAdminAddress } from '../../../src/options/admin-address.ts';
import { UsageError } from '../../../src/options/values.ts';
import type { ServerStatus } from '../../../src/schema/status.ts';
import { StatusClient } from '../../../src/top/status-client.ts';
import type { Live } from '../live.ts';

/** Between closer statuses, the steps of the process clock would show. */
const SPAN_MIN_MS = 200;

export interface CpuReading {
  /** By the server's clock. */
  atMs: number;
  cpuMs: number;
}

export interface ServerCpuFigures {
  serverCpuMs?: number;
  serverCpuPerSampleUs?: number;
}

function readingOf({ uptimeMs, snapshotAgeMs, process }: ServerStatus): CpuReading {
  const cpuMs = (process.cpuUserSeconds + process.cpuSystemSeconds) * 1000;
  return { atMs: uptimeMs - snapshotAgeMs, cpuMs };
}

/** Empty when the readings are missing, too close, or of a server that has been restarted. */
export function cpuFigures(
  from: CpuReading | null,
  to: CpuReading | null,
  windowMs: number,
  completed: number,
): ServerCpuFigures {
  if (from === null || to === null || to.atMs - from.atMs < SPAN_MIN_MS || to.cpuMs < from.cpuMs) return {};
  const serverCpuMs = ((to.cpuMs - from.cpuMs) / (to.atMs - from.atMs)) * windowMs;
  return {
    serverCpuMs,
    ...(completed > 0 ? { serverCpuPerSampleUs: (serverCpuMs * 1000) / completed } : {}),
  };
}

/** The readings of one run after another. */
export class CpuReadings {
  private readonly read: () => Promise<CpuReading | null>;
  private readings: Promise<CpuReading | null>[] = [];

  constructor(read: () => Promise<CpuReading | null>) {
    this.read = read;
  }

  /** Takes a reading when the window opens, and when it ends. */
  follow({ phase, forMs }: Live): void {
    if (phase === 'warm-up' || forMs > 0) return;
    this.readings.push(this.read().catch(() => null));
  }

  /** Of the run that has ended. */
  async figures(windowMs: number, completed: number): Promise<ServerCpuFigures> {
    const [from = null, to = null] = await Promise.all(this.readings);
    this.readings = [];
    return cpuFigures(from, to, windowMs, completed);
  }
}

/** Those of an admin endpoint. */
export class ServerCpu extends CpuReadings {
  private readonly client: StatusClient;

  constructor(address: string) {
    const parsed = parseAdminAddress(address);
    if (parsed === null) throw new UsageError('--server-admin', address, 'an admin address'); // checked by its kind
    const client = new StatusClient(parsed, address);
    super(async () => readingOf(await client.status()));
    this.client = client;
  }

  /** Rejects with one line when the endpoint cannot be reached. */
  async check(): Promise<void> {
    await this.client.status();
  }

  close(): void {
    this.client.close();
  }
}
