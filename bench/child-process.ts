/**
 * Child processes of the benchmarks: servers, load generators, holders of idle connections.
 *
 * Main thread. Every child leads its own process group, so that its descendants (a cluster's workers, a command
 * behind a shell) are killed with it, and a Ctrl-C on the terminal reaches only this program, which then stops them
 * in order. When this process exits for any reason short of SIGKILL, it kills the groups of the children that have
 * not exited, and no others.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:os';
import { affinityOf, maskOf, setAffinity } from '../src/sys/affinity.ts';
import { BLOCK_DEBUG_SIGNAL, onStopSignal } from '../src/sys/signals.ts';
import type { Cgroup } from './cgroup.ts';

const STDERR_KEPT = 2_000;
const STOP_GRACE_MS = 3_000;

const alive = new Set<ChildProcess>();

let refusesChildren = false;

/** Kills every running child; later ones are refused. */
function killAll(): void {
  refusesChildren = true;
  for (const child of alive) child.kill('SIGKILL');
}

let killsAtExit = false;

function killAllAtExit(): void {
  if (killsAtExit) return;
  killsAtExit = true;
  process.on('exit', killAll);
}

/** For programs with nothing to write when interrupted: a stop signal ends the program and its children. */
export function exitOnStopSignal(): void {
  onStopSignal((signal) => process.exit(128 + constants.signals[signal]));
}

/**
 * Until it is disposed, a stop signal kills the children and sets isInterrupted instead of ending this process.
 * Dispose it after all output is written: npm forwards Ctrl-C, so the signal may arrive twice.
 */
export class Interruption {
  isInterrupted = false;
  readonly [Symbol.dispose] = onStopSignal(() => {
    this.isInterrupted = true;
    killAll();
  });
}

/** Without KECHO_POOL_* variables: options set there would make runs incomparable. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('KECHO_POOL_')));
}

/** Where a child runs. */
export interface Placement {
  /** Its processors. */
  cpus?: readonly number[];
  cgroup?: Cgroup | null;
}

/** `start`, which forks, on these processors: a child inherits them from the thread that forks, with all its threads. */
function onCpus<T>(cpus: readonly number[] | undefined, start: () => T): T {
  const own = cpus === undefined ? null : affinityOf(0);
  if (cpus === undefined || own === null) return start();
  setAffinity(0, maskOf(...cpus));
  try {
    return start();
  } finally {
    setAffinity(0, own);
  }
}

export class ChildProcess {
  readonly what: string;
  readonly pid: number;
  /** Exit code or signal, as text; null while it runs. */
  ended: string | null = null;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly exit: Promise<void>;
  private readonly closed: Promise<unknown>;
  /** Standard output: the unfinished line, or everything when there is no `onLine`. */
  private output = '';
  private lastLine = '';
  private stderrTail = '';
  private readonly onLine: ((line: string) => void) | undefined;

  /** Starts a program and passes each line of its standard output to `onLine`. Throws when it cannot start. */
  constructor(
    what: string,
    command: string,
    args: readonly string[],
    onLine?: (line: string) => void,
    { cpus, cgroup }: Placement = {},
  ) {
    if (refusesChildren) throw new Error(`${what}: interrupted`);
    killAllAtExit();
    this.what = what;
    this.onLine = onLine;
    const flags = command === process.execPath ? [BLOCK_DEBUG_SIGNAL, ...args] : args;
    this.child = onCpus(cpus, () =>
      spawn(command, flags, { stdio: 'pipe', env: cleanEnvironment(), detached: true }),
    );
    this.child.on('error', () => {}); // pid is then undefined, reported below
    if (this.child.pid === undefined) throw new Error(`${what}: cannot start ${command}`);
    this.pid = this.child.pid;
    cgroup?.add(this.pid);
    alive.add(this);
    this.closed = once(this.child, 'close');
    this.exit = once(this.child, 'exit').then(([code, signal]) => {
      alive.delete(this);
      this.ended = signal === null ? `exit code ${code}` : `signal ${signal}`;
    });
    this.child.stdin.on('error', () => {}); // the child exited first
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => this.onStdout(text));
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderrTail = (this.stderrTail + text).slice(-STDERR_KEPT);
    });
  }

  private onStdout(text: string): void {
    this.output += text;
    if (this.onLine === undefined) return;
    const lines = this.output.split('\n');
    this.output = lines.pop() ?? '';
    this.lastLine = lines.at(-1) ?? this.lastLine;
    for (const line of lines) this.onLine(line);
  }

  /** The end of its stderr as one line, for an error message. */
  get stderrSummary(): string {
    const text = this.stderrTail.trim().replaceAll(/\s*\n\s*/g, '; ');
    return text === '' ? '' : `: ${text}`;
  }

  /** `promise`, or a rejection when the process exits first or the timeout expires. */
  async unlessItEnds<T>(promise: Promise<T>, state: string, timeoutMs: number): Promise<T> {
    const failed = Promise.withResolvers<never>();
    const late = setTimeout(
      () => failed.reject(new Error(`${this.what}: not ${state} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    void this.closed.then(() =>
      failed.reject(new Error(`${this.what}: ${this.ended ?? 'ended'}${this.stderrSummary}`)),
    );
    try {
      return await Promise.race([promise, failed.promise]);
    } finally {
      clearTimeout(late);
      failed.promise.catch(() => {}); // a late rejection has no other handler
    }
  }

  /** Waits for its exit and the end of its output; kills it when the timeout expires. */
  async finished(timeoutMs?: number): Promise<void> {
    const late = timeoutMs === undefined ? undefined : setTimeout(() => this.kill('SIGKILL'), timeoutMs);
    await this.closed;
    clearTimeout(late);
    await this.exit;
  }

  /** The JSON that it printed; of a child with `onLine` the last line. Waits for its exit; throws unless the exit code is 0. */
  async result<T>(timeoutMs?: number): Promise<T> {
    await this.finished(timeoutMs);
    if (this.ended !== 'exit code 0') throw new Error(`${this.what}: ${this.ended}${this.stderrSummary}`);
    return JSON.parse(this.onLine === undefined ? this.output : this.lastLine) as T;
  }

  write(text: string): void {
    this.child.stdin.write(text);
  }

  /** Closes its standard input, which stops a load generator with --stdin-stops. */
  endInput(): void {
    this.child.stdin.end();
  }

  /** Signals the process only. */
  signal(name: NodeJS.Signals): void {
    this.child.kill(name);
  }

  /** Signals the whole group. */
  kill(name: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, name);
    } catch {
      // The group is gone.
    }
  }

  /** Sends SIGTERM, or with `atOnce` SIGKILL, waits for the exit, then kills the rest of the group. */
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
