/**
 * A server under test: started, waited for, looked at, and stopped.
 *
 * It understands three ways of saying which port it is: a JSON log line with msg "listening" (kecho-pool),
 * "listening PORT", or `{port}` in the command, which is then a free port that is tried until it answers.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ManagedProcess } from '../child-process.ts';
import { answers } from '../probe.ts';
import type { Contestant } from './contestants.ts';

const READY_TIMEOUT_MS = 15_000;
const TRY_EVERY_MS = 25;

/** The figures of a kecho-pool server that a timeline keeps; see src/server/stats.ts. */
export interface ServerFigures {
  active: number;
  queued: number;
  busyWorkers: number;
  idleWorkers: number;
  nrRunning: number;
}

interface StatsLine {
  msg?: unknown;
  port?: unknown;
  connections?: { active?: number; queued?: number };
  workers?: Record<string, number>;
  cpuPools?: { nrRunning?: number }[];
}

function parsed(line: string): StatsLine | null {
  try {
    return line.startsWith('{') ? (JSON.parse(line) as StatsLine) : null;
  } catch {
    return null; // a target may print what it likes
  }
}

function portIn(line: string): number | null {
  const plain = /^listening (\d+)\s*$/.exec(line);
  if (plain !== null) return Number(plain[1]);
  const entry = parsed(line);
  return entry?.msg === 'listening' && typeof entry.port === 'number' ? entry.port : null;
}

function figuresOf({ connections, workers, cpuPools }: StatsLine): ServerFigures {
  const count = (state: string) => workers?.[state] ?? 0;
  return {
    active: connections?.active ?? 0,
    queued: connections?.queued ?? 0,
    busyWorkers: count('onDuty') + count('blocked') + count('cpuIntensive') + count('finishing'),
    idleWorkers: count('idle'),
    nrRunning: (cpuPools ?? []).reduce((sum, pool) => sum + (pool.nrRunning ?? 0), 0),
  };
}

/** A port of loopback that nobody listens on at this moment. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

export class TestServer {
  readonly process: ManagedProcess;
  readonly isKechoPool: boolean;
  port = 0;
  /** Called with each stats line that the server logs. */
  onFigures: (figures: ServerFigures) => void = () => {};
  private readonly listening = Promise.withResolvers<number>();

  private constructor(contestant: Contestant, args: readonly string[]) {
    this.isKechoPool = contestant.strategy !== null;
    this.process = new ManagedProcess(contestant.label, contestant.command, args, (line) => this.take(line));
  }

  /** Starts a server and waits until it listens. */
  static async start(contestant: Contestant, service: string | null): Promise<TestServer> {
    const wantsPort = contestant.args.some((arg) => arg.includes('{port}'));
    const given = wantsPort ? await freePort() : null;
    const args = contestant.args.map((arg) =>
      given === null ? arg : arg.replaceAll('{port}', String(given)),
    );
    const server = new TestServer(contestant, service === null ? args : [...args, '--service', service]);
    try {
      const port = given === null ? server.listening.promise : server.untilItAnswers(given);
      server.port = await server.process.unlessItEnds(port, 'listening', READY_TIMEOUT_MS);
      return server;
    } catch (error) {
      await server.process.stop(true);
      throw error;
    }
  }

  private async untilItAnswers(port: number): Promise<number> {
    while (this.process.ended === null && !(await answers(port))) await pause(TRY_EVERY_MS);
    return port;
  }

  private take(line: string): void {
    if (this.port === 0) {
      const port = portIn(line);
      if (port !== null) this.listening.resolve(port);
      return;
    }
    const entry = parsed(line);
    if (entry?.msg === 'stats') this.onFigures(figuresOf(entry));
  }

  /** Asks for its figures; they come to `onFigures`. Nothing for servers that would die of it. */
  askFigures(): void {
    if (this.isKechoPool && this.process.ended === null) this.process.signal('SIGUSR2');
  }

  /** Ends it. Ours at once: by then it has no connections, and ending hundreds of threads in order takes time. */
  stop(): Promise<void> {
    return this.process.stop(this.isKechoPool);
  }
}
