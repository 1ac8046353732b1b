/**
 * The load generator as a child process of `kecho-pool bench`.
 *
 * It is in a session of its own, so that Ctrl-C reaches only the parent, which asks it to stop by ending its
 * standard input; it then reports what it has. Should the parent die, that ends its input too: no generator
 * outlives its command.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { BLOCK_DEBUG_SIGNAL } from '../../../src/sys/signals.ts';
import type { LoadResult } from '../schema.ts';
import type { BenchOptions } from './bench-options.ts';

/** The program next to this one: .ts from source, .js from dist. */
const PROGRAM = fileURLToPath(
  new URL(`../main${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url),
);
/** A generator that was told to stop and has not: it answers within a turn of its event loop. */
const STOP_GRACE_MS = 5_000;

function argumentsFor(options: BenchOptions, clients: number): string[] {
  const { target, requests, mode } = options;
  const flags: [string, string | number][] = [
    ['mode', mode],
    ['address', target.address],
    ['port', target.port],
    ['clients', clients],
    ['bytes', options.messageBytes],
    ['warmup-ms', options.warmupMs],
    ['duration-ms', options.durationMs],
    ['timeout-ms', options.timeoutMs],
    ['rate', options.rate],
    ['max-connections', options.maxConnections],
    ['seed', options.seed],
    ['requests', requests],
  ];
  return [...flags.flatMap(([name, value]) => [`--${name}`, String(value)]), '--histogram', '--stdin-stops'];
}

export class Generator {
  private readonly child: ChildProcessWithoutNullStreams;
  private output = '';
  private complaints = '';

  constructor(options: BenchOptions, clients: number) {
    const args = [BLOCK_DEBUG_SIGNAL, PROGRAM, ...argumentsFor(options, clients)];
    this.child = spawn(process.execPath, args, { detached: true });
    this.child.stdin.on('error', () => {}); // it went first
    this.child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.output += text;
    });
    this.child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.complaints += text;
    });
  }

  /** Waits for its end. Throws when it has no result. */
  async result(): Promise<LoadResult> {
    const [code, signal] = (await once(this.child, 'close')) as [number | null, NodeJS.Signals | null];
    if (code === 0) return JSON.parse(this.output) as LoadResult;
    const words = this.complaints.trim().replaceAll(/\s*\n\s*/g, '; ');
    throw new Error(
      `the load generator failed (${signal ?? `exit code ${code}`})${words === '' ? '' : `: ${words}`}`,
    );
  }

  /** Asks it to end the run and report; kills it when it does not. */
  stop(): void {
    this.child.stdin.end();
    const late = setTimeout(() => this.kill(), STOP_GRACE_MS);
    this.child.once('close', () => clearTimeout(late));
  }

  kill(): void {
    this.child.kill('SIGKILL');
  }
}
