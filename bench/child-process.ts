/**
 * Child processes of the benchmarks: servers, load generators, holders of idle connections.
 *
 * Main thread. Every child leads a process group of its own, so that what it starts in turn (a cluster's
 * workers, a command behind a shell) ends with it, and so that a Ctrl-C on the terminal reaches this program
 * alone, which then ends them in order. It knows every child that it has started and not yet seen end; at the
 * exit of this process, for whatever reason short of SIGKILL, their groups are killed, and no others.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { BLOCK_DEBUG_SIGNAL, onStopSignal } from '../src/sys/signals.ts';

const STDERR_KEPT = 2_000;
const STOP_GRACE_MS = 3_000;

const alive = new Set<ChildProcess>();

let isOver = false;

/** Kills every child that still runs; from then on none is started. */
function killAll(): void {
  isOver = true;
  for (const child of alive) child.kill('SIGKILL');
}

let guarded = false;

function guard(): void {
  if (guarded) return;
  guarded = true;
  process.on('exit', killAll);
}

/** For programs that have nothing to write when they are interrupted: a stop signal ends them, and so their children. */
export function exitOnStopSignal(): void {
  onStopSignal((signal) => process.exit(128 + constants.signals[signal]));
}

/**
 * From its creation to its disposal a stop signal does not end this process: it kills the children and is
 * remembered. To be disposed once everything is written: npm passes a Ctrl-C on, so it may come twice.
 */
export class Interruption {
  isInterrupted = false;
  readonly [Symbol.dispose] = onStopSignal(() => {
    this.isInterrupted = true;
    killAll();
  });
}

/** Options of the server that happen to be in the environment would make the runs incomparable. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('KECHO_POOL_')));
}

export class ChildProcess {
  readonly what: string;
  readonly pid: number;
  /** How it ended; null while it runs. */
  ended: string | null = null;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly exit: Promise<void>;
  private readonly closed: Promise<unknown>;
  /** Of standard output: what has not yet gone to `onLine`; all of it when there is none. */
  private output = '';
  private complaints = '';
  private readonly onLine: ((line: string) => void) | undefined;

  /** Starts a program; every line of its standard output goes to `onLine`. Throws when it cannot be started. */
  constructor(what: string, command: string, args: readonly string[], onLine?: (line: string) => void) {
    if (isOver) throw new Error(`${what}: interrupted`);
    guard();
    this.what = what;
    this.onLine = onLine;
    const flags = command === process.execPath ? [BLOCK_DEBUG_SIGNAL, ...args] : args;
    this.child = spawn(command, flags, { stdio: 'pipe', env: cleanEnvironment(), detached: true });
    this.child.on('error', () => {}); // pid is undefined then, which is reported below
    if (this.child.pid === undefined) throw new Error(`${what}: cannot start ${command}`);
    this.pid = this.child.pid;
    alive.add(this);
    this.closed = once(this.child, 'close');
    this.exit = once(this.child, 'exit').then(([code, signal]) => {
      alive.delete(this);
      this.ended = signal === null ? `exit code ${code}` : `signal ${signal}`;
    });
    this.child.stdin.on('error', () => {}); // the child went first
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => this.take(text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints = (this.complaints + text).slice(-STDERR_KEPT);
    });
  }

  private take(text: string): void {
    this.output += text;
    if (this.onLine === undefined) return;
    const lines = this.output.split('\n');
    this.output = lines.pop() ?? '';
    for (const line of lines) this.onLine(line);
  }

  /** What it wrote to stderr last, in one line, for an error message. */
  get lastWords(): string {
    const text = this.complaints.trim().replaceAll(/\s*\n\s*/g, '; ');
    return text === '' ? '' : `: ${text}`;
  }

  /** `promise`, or a rejection when the process ends first or time is up. */
  async unlessItEnds<T>(promise: Promise<T>, doing: string, timeoutMs: number): Promise<T> {
    const failed = Promise.withResolvers<never>();
    const late = setTimeout(
      () => failed.reject(new Error(`${this.what}: not ${doing} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    void this.closed.then(() =>
      failed.reject(new Error(`${this.what}: ${this.ended ?? 'ended'}${this.lastWords}`)),
    );
    try {
      return await Promise.race([promise, failed.promise]);
    } finally {
      clearTimeout(late);
      failed.promise.catch(() => {}); // nobody waits for it any more
    }
  }

  /** Waits until it has ended and all its output has come; kills it when time is up. */
  async finished(timeoutMs?: number): Promise<void> {
    const late = timeoutMs === undefined ? undefined : setTimeout(() => this.kill('SIGKILL'), timeoutMs);
    await this.closed;
    clearTimeout(late);
    await this.exit;
  }

  /** What a child without `onLine` has printed, which is JSON, once it has ended. Throws when it did not end well. */
  async result<T>(timeoutMs?: number): Promise<T> {
    await this.finished(timeoutMs);
    if (this.ended !== 'exit code 0') throw new Error(`${this.what}: ${this.ended}${this.lastWords}`);
    return JSON.parse(this.output) as T;
  }

  /** Writes to its standard input. */
  write(text: string): void {
    this.child.stdin.write(text);
  }

  /** Ends its standard input, which ends a load generator with --stdin-stops. */
  endInput(): void {
    this.child.stdin.end();
  }

  /** Sends a signal to the process alone. */
  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Sends a signal to its whole group. */
  kill(name: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, name);
    } catch {
      // The group has gone.
    }
  }

  /** Asks it to end, or with `atOnce` does not ask; then kills what is left of its group. */
  async stop(atOnce = false): Promise<void> {
    if (this.ended === null) {
      this.kill(atOnce ? 'SIGKILL' : 'SIGTERM');
      const late = setTimeout(() => this.kill('SIGKILL'), STOP_GRACE_MS);
      await this.exit;
      clearTimeout(late);
    }
    this.kill('SIGKILL');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}
