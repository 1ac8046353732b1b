/**
 * Child processes: the program as started from a shell, and scripts that use the API. A child that still runs at the
 * end of its test is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import type { ServerStats } from '../../src/index.ts';
import { FROM_DIST } from './from-dist.ts';
import { until, within } from './wait.ts';

/** The program. */
export const BIN = fileURLToPath(
  new URL(FROM_DIST ? '../../dist/src/bin.js' : '../../src/bin.ts', import.meta.url),
);
/** For starting Node and some threads on a busy machine. */
const START_DEADLINE_MS = 60_000;

/** Matches a stack trace of Node.js. */
export const STACK = /\bat \S+ \(|node:internal|\.[jt]s:\d/;

export interface LogLine extends Record<string, unknown> {
  msg: string;
}

export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** Variables that children inherit: to be found, to be counted by `npm run coverage`, and to start faster. */
const KEPT = ['PATH', 'NODE_V8_COVERAGE', 'NODE_COMPILE_CACHE'];

export interface ChildOptions {
  /** Added to the inherited variables. */
  env?: Record<string, string>;
  cwd?: string;
  /** A descriptor of this process that becomes its descriptor 3. */
  inherited?: number;
}

export class Child {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  /** How it ended; null while it runs. */
  ended: Ended | null = null;

  constructor(command: string, args: readonly string[], options: ChildOptions = {}) {
    this.process = spawn(command, args, {
      env: {
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => KEPT.includes(name))),
        ...options.env,
      },
      stdio: ['pipe', 'pipe', 'pipe', ...(options.inherited === undefined ? [] : [options.inherited])],
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.process.stdin?.on('error', () => {}); // it may exit before it has read everything
    this.process.once('error', (error) => {
      this.stderr += error.message;
    });
    this.process.once('close', (code, signal) => {
      this.ended = { code, signal };
    });
    onTestFinished(() => this.kill());
  }

  get pid(): number {
    const { pid } = this.process;
    if (pid === undefined) throw new Error(`it did not start: ${this.stderr}`);
    return pid;
  }

  write(text: string): void {
    this.process.stdin?.write(text);
  }

  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }

  /** The JSON lines of standard output so far. */
  get lines(): LogLine[] {
    const complete = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1);
    return complete
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  linesSaying(msg: string): LogLine[] {
    return this.lines.filter((line) => line.msg === msg);
  }

  /** Waits for the first line with this message, or the one after `skip` of them. */
  async line(msg: string, skip = 0): Promise<LogLine> {
    await until(
      () => this.linesSaying(msg).length > skip || this.ended !== null,
      `a log line "${msg}"`,
      START_DEADLINE_MS,
    );
    const line = this.linesSaying(msg)[skip];
    if (line === undefined) throw new Error(`it ended without a line "${msg}": ${this.stdout}${this.stderr}`);
    return line;
  }

  /** The server's figures from a new line "stats", by default requested with SIGUSR2. */
  async stats(ask: () => void = () => this.signal('SIGUSR2')): Promise<ServerStats> {
    const before = this.linesSaying('stats').length;
    ask();
    return (await this.line('stats', before)) as unknown as ServerStats;
  }

  async untilEnded(timeoutMs?: number): Promise<Ended> {
    await until(() => this.ended !== null, 'the end of the process', timeoutMs);
    return this.ended as Ended; // the condition above
  }

  private async kill(): Promise<void> {
    if (this.ended !== null) return;
    this.process.kill('SIGKILL');
    await within(this.untilEnded(), 'a killed process to end');
  }
}

/** The program with these arguments. */
export function runBin(args: readonly string[], options: ChildOptions = {}): Child {
  return new Child(process.execPath, [BIN, ...args], options);
}

/** The program, listening on a free port of 127.0.0.1 and logging JSON. */
export async function startBin(
  args: readonly string[],
  options: ChildOptions = {},
): Promise<{ child: Child; port: number; listening: LogLine }> {
  return whenListening(runBin(['--port', '0', '--no-pretty', ...args], options));
}

/** A child that logs a line "listening" with its port. */
export async function whenListening(
  child: Child,
): Promise<{ child: Child; port: number; listening: LogLine }> {
  const listening = await child.line('listening');
  return { child, port: Number(listening.port), listening };
}
