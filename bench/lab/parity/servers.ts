/**
 * How each of the compared servers is built and started, and which port it then has.
 *
 * A server is known here by its command line and the line it prints; nothing of it is imported.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { Child } from '../children.ts';
import type { ServerName } from './cells.ts';
import type { ParityOptions } from './parity-options.ts';

const ROOT = join(import.meta.dirname, '../../..');
const PEERS = join(import.meta.dirname, '../../peers');
const C_SOURCE = join(PEERS, 'epoll.c');
const C_BINARY = join(PEERS, 'bin/epoll');
const READY_TIMEOUT_MS = 15_000;

export interface Command {
  command: string;
  args: readonly string[];
}

export interface Commands {
  commands: Partial<Record<ServerName, Command>>;
  /** What the reader of the results should know: a peer left out, an old build. */
  notes: string[];
  compiler: string | null;
}

function newestMs(folder: string): number {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
  const files = names.map((name) => statSync(join(folder, name), { throwIfNoEntry: false }));
  return Math.max(0, ...files.map((file) => (file?.isFile() ? file.mtimeMs : 0)));
}

/** The built server, or the source when nothing was built. */
export function serverEntry(notes: string[]): string {
  const built = join(ROOT, 'dist/src/bin.js');
  if (!existsSync(built)) {
    notes.push('dist/ is missing: kecho-pool ran from src/bin.ts (npm run build)');
    return join(ROOT, 'src/bin.ts');
  }
  const sourceMs = Math.max(newestMs(join(ROOT, 'src')), newestMs(join(ROOT, 'workers')));
  if (sourceMs > newestMs(join(ROOT, 'dist')))
    notes.push('dist/ is older than src/ or workers/: npm run build');
  return built;
}

/** The compiler's name and version; null when there is none. */
function compilerVersion(): string | null {
  const run = spawnSync('cc', ['--version'], { encoding: 'utf8' });
  return run.error === undefined ? (run.stdout.split('\n')[0] ?? '') : null;
}

function compilePeer(): void {
  mkdirSync(dirname(C_BINARY), { recursive: true });
  const run = spawnSync('cc', ['-O2', '-Wall', '-Wextra', '-pthread', '-o', C_BINARY, C_SOURCE], {
    encoding: 'utf8',
  });
  if (run.status !== 0) throw new Error(`cc could not compile ${C_SOURCE}: ${run.stderr.trim()}`);
}

/** Builds what must be built, and says how to start each server. */
export function prepareServers(options: ParityOptions): Commands {
  const notes: string[] = [];
  const node = process.execPath;
  const cpus = String(options.cpus);
  const cmwq = [
    serverEntry(notes),
    '--strategy',
    'cmwq',
    '--port',
    '0',
    '--cpus',
    cpus,
    ...options.serverArgs,
  ];
  const commands: Commands['commands'] = {
    cmwq: { command: node, args: cmwq },
    'node-net': { command: node, args: [join(PEERS, 'node-net.ts')] },
  };
  const compiler = compilerVersion();
  if (compiler === null) {
    notes.push('no C compiler (cc): the C server is skipped, and so is every comparison with it');
  } else {
    compilePeer();
    commands.c = { command: C_BINARY, args: ['--threads', cpus] };
  }
  return { commands, notes, compiler };
}

/** The port in a server's output: a JSON log line with msg "listening", or "listening PORT". */
function listeningPort(output: string): number | null {
  for (const line of output.split('\n').slice(0, -1)) {
    const plain = /^listening (\d+)$/.exec(line);
    if (plain !== null) return Number(plain[1]);
    if (!line.startsWith('{')) continue;
    const entry = JSON.parse(line) as { msg?: unknown; port?: unknown };
    if (entry.msg === 'listening' && typeof entry.port === 'number') return entry.port;
  }
  return null;
}

/** Starts a server and waits until it listens. */
export async function startServer(name: string, { command, args }: Command): Promise<[Child, number]> {
  const child = new Child(`server ${name}`, command, args);
  try {
    return [child, await child.waitForOutput(listeningPort, READY_TIMEOUT_MS)];
  } catch (error) {
    await child.stop();
    throw error;
  }
}
