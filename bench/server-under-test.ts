/**
 * A server under test: started, waited for, and stopped.
 *
 * It understands three ways of saying which port it is: a JSON log line with msg "listening" (kecho-pool),
 * "listening PORT", or `{port}` in the command, which is then a free port that is tried until it answers.
 */
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ChildProcess } from './child-process.ts';
import { answers } from './probe.ts';
import type { Command } from './programs.ts';

const READY_TIMEOUT_MS = 20_000;
const TRY_EVERY_MS = 25;

/** A line of a server's log. */
export type LogEntry = Record<string, unknown>;

function parsed(line: string): LogEntry | null {
  try {
    return line.startsWith('{') ? (JSON.parse(line) as LogEntry) : null;
  } catch {
    return null; // a target may print what it likes
  }
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

export class ServerUnderTest {
  readonly process: ChildProcess;
  port = 0;
  /** Called with each line that it logs once it listens. */
  onEntry: (entry: LogEntry) => void = () => {};
  private readonly listening = Promise.withResolvers<number>();

  private constructor(what: string, command: string, args: readonly string[]) {
    this.process = new ChildProcess(what, command, args, (line) => this.take(line));
  }

  /** Starts a server and waits until it listens. */
  static async start(what: string, { command, args }: Command): Promise<ServerUnderTest> {
    const given = args.some((arg) => arg.includes('{port}')) ? await freePort() : null;
    const server = new ServerUnderTest(
      what,
      command,
      args.map((arg) => (given === null ? arg : arg.replaceAll('{port}', String(given)))),
    );
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
