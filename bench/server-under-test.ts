/**
 * Starts a server under test, waits until it listens, and stops it.
 *
 * The port comes from a JSON log line with msg "listening" (kecho-pool) or from a line "listening PORT"; or the command
 * contains `{port}`, which is replaced by a free port that is polled until it echoes.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { LOOPBACK } from '../src/sys/loopback.ts';
import { ChildProcess, type Placement } from './child-process.ts';
import { freePort } from './free-port.ts';
import { serves } from './probe.ts';
import type { Command } from './programs.ts';

const READY_TIMEOUT_MS = 60_000;
const TRY_EVERY_MS = 25;

/** A line of a server's log. */
export type LogEntry = Record<string, unknown>;

/** A line of JSON; null if it is another one. */
export function parsed(line: string): LogEntry | null {
  try {
    return line.startsWith('{') ? (JSON.parse(line) as LogEntry) : null;
  } catch {
    return null; // a custom target may print anything
  }
}

export class ServerUnderTest {
  readonly process: ChildProcess;
  port = 0;
  /** Receives each JSON log line after "listening". */
  onEntry: (entry: LogEntry) => void = () => {};
  private readonly listening = Promise.withResolvers<number>();

  private constructor(what: string, command: string, args: readonly string[], placement: Placement) {
    this.process = new ChildProcess(what, command, args, (line) => this.onLine(line), placement);
  }

  static async start(
    what: string,
    { command, args }: Command,
    placement: Placement = {},
    address = LOOPBACK,
  ): Promise<ServerUnderTest> {
    const chosenPort = args.some((arg) => arg.includes('{port}')) ? freePort() : null;
    const server = new ServerUnderTest(
      what,
      command,
      args.map((arg) => (chosenPort === null ? arg : arg.replaceAll('{port}', String(chosenPort)))),
      placement,
    );
    try {
      const port =
        chosenPort === null ? server.listening.promise : server.pollUntilItServes(chosenPort, address);
      server.port = await server.process.unlessItEnds(port, 'listening', READY_TIMEOUT_MS);
      return server;
    } catch (error) {
      await server.process.stop(true);
      throw error;
    }
  }

  private async pollUntilItServes(port: number, address: string): Promise<number> {
    const serving = () => serves(port, address, READY_TIMEOUT_MS);
    while (this.process.ended === null && !(await serving())) await pause(TRY_EVERY_MS);
    return port;
  }

  private onLine(line: string): void {
    const entry = parsed(line);
    if (this.port !== 0) {
      if (entry !== null) this.onEntry(entry);
      return;
    }
    const [, plain] = /^listening (\d+)\s*$/.exec(line) ?? [];
    if (plain !== undefined) this.listening.resolve(Number(plain));
    if (entry?.msg === 'listening' && typeof entry.port === 'number') this.listening.resolve(entry.port);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.process.stop();
  }
}
