/**
 * Child processes of a comparison: servers, load generators, holders of idle connections.
 *
 * Main thread. Every child leads a process group of its own, so that what it starts in turn (a cluster's
 * workers, a command behind a shell) ends with it, and so that a Ctrl-C on the terminal reaches this program
 * alone, which then ends them in order. It knows every child that it has started and not yet seen end; at the
 * exit of this process, for whatever reason short of SIGKILL, their groups are killed, and no others.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';

const STDERR_KEPT = 2_000;
const STOP_GRACE_MS = 2_000;

const alive = new Set<ManagedProcess>();

let isOver = false;

/** Ends every child that still runs, without waiting; from then on none is started. */
export function killAllProcesses(): void {
  isOver = true;
  for (const child of alive) child.kill('SIGKILL');
}

let guarded = false;

function guard(): void {
  if (guarded) return;
  guarded = true;
  process.on('exit', killAllProcesses);
}

/** Options of the server that happen to be in the environment would make the runs incomparable. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('KECHO_POOL_')));
}

export class ManagedProcess {
  readonly what: string;
  readonly pid: number;
  /** How it ended; null while it runs. */
  ended: string | null = null;
  private readonly child: ChildProcessWithoutNullStreams;
  private readonly exit: Promise<void>;
  private readonly closed: Promise<unknown>;
  private rest = '';
  private complaints = '';
  private readonly onLine: (line: string) => void;

  /** Starts a program; every line of its standard output goes to `onLine`. Throws when it cannot be started. */
  constructor(what: string, command: string, args: readonly string[], onLine: (line: string) => void) {
    if (isOver) throw new Error(`${what}: interrupted`);
    guard();
    this.what = what;
    this.onLine = onLine;
    this.child = spawn(command, args, { stdio: 'pipe', env: cleanEnvironment(), detached: true });
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
    const lines = (this.rest + text).split('\n');
    this.rest = lines.pop() ?? '';
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
  async finished(timeoutMs: number): Promise<void> {
    const late = setTimeout(() => this.kill('SIGKILL'), timeoutMs);
    await this.closed;
    clearTimeout(late);
    await this.exit;
  }

  /** Writes to its standard input. */
  write(text: string): void {
    this.child.stdin.write(text);
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
  async stop(atOnce: boolean): Promise<void> {
    if (this.ended === null) {
      this.kill(atOnce ? 'SIGKILL' : 'SIGTERM');
      const late = setTimeout(() => this.kill('SIGKILL'), STOP_GRACE_MS);
      await this.exit;
      clearTimeout(late);
    }
    this.kill('SIGKILL');
  }
}
