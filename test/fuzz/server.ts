/**
 * Starts, queries and stops the process of server-main.ts or liar-main.ts, which exits when its standard input ends, so
 * it does not outlive this process.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { GivenOptions } from '../../src/options/index.ts';
import type { Figures } from './server-main.ts';

/** Limit of a start, an answer and an end: ample even on a loaded machine. */
const TIMEOUT_MS = 60_000;

export class ServerProcess {
  readonly process: ChildProcessWithoutNullStreams;
  port = 0;
  /** Its output apart from answers: log lines, standard error. */
  complaints = '';
  private readonly lines: AsyncIterator<string>;

  private constructor(script: string, argument: string) {
    this.process = spawn(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), argument], {
      stdio: 'pipe',
    });
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text;
    });
    this.process.stdin.on('error', () => {}); // it may have exited
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  static echo(options: GivenOptions): Promise<ServerProcess> {
    return ServerProcess.start('./server-main.ts', JSON.stringify(options));
  }

  static liar(name: string): Promise<ServerProcess> {
    return ServerProcess.start('./liar-main.ts', name);
  }

  private static async start(script: string, argument: string): Promise<ServerProcess> {
    const server = new ServerProcess(script, argument);
    const { port } = (await server.answer()) as { port: number };
    server.port = port;
    return server;
  }

  /** The server's figures; null from a liar. */
  figures(): Promise<Figures | null> {
    this.process.stdin.write('\n');
    return this.answer() as Promise<Figures | null>;
  }

  /** Stops it; resolves with the exit code or signal. */
  async stop(): Promise<number | NodeJS.Signals | null> {
    const { process: child } = this;
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null;
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    return child.signalCode ?? child.exitCode;
  }

  private async answer(): Promise<unknown> {
    for (;;) {
      const line = await this.line();
      const answer = JSON.parse(line) as Record<string, unknown> | null;
      if (answer === null || answer.level === undefined) return answer;
      this.complaints += `${line}\n`; // a log line
    }
  }

  private async line(): Promise<string> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`the server does not answer: ${this.complaints}`)),
      TIMEOUT_MS,
    );
    try {
      const { value, done } = await Promise.race([this.lines.next(), late.promise]);
      if (done === true) throw new Error(`the server has ended: ${this.complaints}`);
      return value;
    } finally {
      clearTimeout(timer);
    }
  }
}
