/**
 * Child processes of the benchmark: started here, and ended here whatever happens.
 *
 * It knows every child it has started and not yet seen end; on exit, SIGINT, SIGTERM and SIGHUP these are
 * killed by their process ids, and no others.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { onStopSignal } from '../../src/sys/signals.ts';

const STOP_GRACE_MS = 3_000;
const STDERR_KEPT = 2_000;

const alive = new Set<ChildProcessWithoutNullStreams>();

function killAll(): void {
  for (const child of alive) child.kill('SIGKILL');
}

/** Makes sure that no child outlives this process. To be called once, before the first spawn. */
export function guardChildren(): void {
  process.on('exit', killAll);
  onStopSignal((signal) => process.exit(128 + constants.signals[signal]));
}

export class Child {
  readonly pid: number;
  readonly what: string;
  /** How it ended, once it has. */
  ended: string | null = null;
  private readonly process: ChildProcessWithoutNullStreams;
  private readonly exit: Promise<unknown>;
  private output = '';
  private complaints = '';
  private onOutput: () => void = () => {};

  /** Starts a program. Throws when it cannot be started. */
  constructor(what: string, command: string, args: readonly string[]) {
    this.what = what;
    // Options of the server that happen to be in the environment would make the runs incomparable.
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith('KECHO_POOL_')),
    );
    this.process = spawn(command, args, { stdio: 'pipe', env });
    this.process.on('error', () => {}); // pid is undefined then, which is reported below
    if (this.process.pid === undefined) throw new Error(`${what}: cannot start ${command}`);
    this.pid = this.process.pid;
    alive.add(this.process);
    this.exit = once(this.process, 'exit').then(([code, signal]) => {
      alive.delete(this.process);
      this.ended = signal === null ? `exit code ${code}` : `signal ${signal}`;
    });
    this.process.stdin.on('error', () => {}); // the child went first
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
      this.onOutput();
    });
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints = (this.complaints + text).slice(-STDERR_KEPT);
    });
  }

  /** What it wrote to stderr last, in one line, for an error message. */
  get lastWords(): string {
    const text = this.complaints.trim().replaceAll(/\s*\n\s*/g, '; ');
    return text === '' ? '' : `: ${text}`;
  }

  /** Waits until `find` sees what it wants in the output. Throws when the child ends or time is up. */
  async waitForOutput<T>(find: (output: string) => T | null, timeoutMs: number): Promise<T> {
    const found = Promise.withResolvers<T>();
    this.onOutput = () => {
      const value = find(this.output);
      if (value !== null) found.resolve(value);
    };
    const late = setTimeout(
      () => found.reject(new Error(`${this.what}: not ready in ${timeoutMs} ms`)),
      timeoutMs,
    );
    this.exit.then(() => found.reject(new Error(`${this.what}: ended (${this.ended})${this.lastWords}`)));
    this.onOutput();
    try {
      return await found.promise;
    } finally {
      clearTimeout(late);
      this.onOutput = () => {};
      this.output = '';
    }
  }

  /** Waits until it has ended and returns all it wrote. Throws, and kills it, when time is up. */
  async finished(timeoutMs: number): Promise<string> {
    const closed = once(this.process, 'close');
    const late = setTimeout(() => this.process.kill('SIGKILL'), timeoutMs);
    await closed;
    clearTimeout(late);
    await this.exit;
    if (this.ended !== 'exit code 0') throw new Error(`${this.what}: ${this.ended}${this.lastWords}`);
    return this.output;
  }

  /** Ends its standard input, which ends a load generator with --stdin-stops. */
  endInput(): void {
    this.process.stdin.end();
  }

  /** Asks it to end, and kills it when it does not. */
  async stop(): Promise<void> {
    if (this.ended !== null) return;
    this.process.kill('SIGTERM');
    const late = setTimeout(() => this.process.kill('SIGKILL'), STOP_GRACE_MS);
    await this.exit;
    clearTimeout(late);
  }
}
