/**
 * The other side of server-main.ts and liar-main.ts: starts the process, asks it, ends it.
 *
 * The process ends with its standard input, so it does not outlive this one either.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { EchoServerOptions } from '../../src/index.ts';
import type { Figures } from './server-main.ts';

const START_TIMEOUT_MS = 20_000;
const ANSWER_TIMEOUT_MS = 20_000;
const END_TIMEOUT_MS = 10_000;

export class ServerProcess {
  readonly process: ChildProcessWithoutNullStreams;
  port = 0;
  /** Everything it said beside its answers: errors, a stack. */
  complaints = '';
  private readonly lines: AsyncIterator<string>;

  private constructor(script: string, argument: string) {
    this.process = spawn(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), argument], {
      stdio: 'pipe',
    });
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text;
    });
    this.process.stdin.on('error', () => {}); // it may be gone already
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]();
  }

  static echo(options: EchoServerOptions): Promise<ServerProcess> {
    return ServerProcess.started('./server-main.ts', JSON.stringify(options));
  }

  static liar(name: string): Promise<ServerProcess> {
    return ServerProcess.started('./liar-main.ts', name);
  }

  private static async started(script: string, argument: string): Promise<ServerProcess> {
    const server = new ServerProcess(script, argument);
    const { port } = (await server.answer(START_TIMEOUT_MS)) as { port: number };
    server.port = port;
    return server;
  }

  /** What the server counts; null from a liar. */
  figures(): Promise<Figures | null> {
    this.process.stdin.write('\n');
    return this.answer(ANSWER_TIMEOUT_MS) as Promise<Figures | null>;
  }

  /** Ends it; the exit code, or the signal that it needed or died of. */
  async stop(): Promise<number | NodeJS.Signals | null> {
    const { process: child } = this;
    const ended = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null;
    child.stdin.end();
    const timer = setTimeout(() => child.kill('SIGKILL'), END_TIMEOUT_MS);
    await ended;
    clearTimeout(timer);
    return child.signalCode ?? child.exitCode;
  }

  private async answer(timeoutMs: number): Promise<unknown> {
    for (;;) {
      const line = await this.line(timeoutMs);
      const said = JSON.parse(line) as Record<string, unknown> | null;
      if (said === null || said.level === undefined) return said;
      this.complaints += `${line}\n`; // a line of the log
    }
  }

  private async line(timeoutMs: number): Promise<string> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`the server does not answer: ${this.complaints}`)),
      timeoutMs,
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
