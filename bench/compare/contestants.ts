/**
 * Who takes part in a comparison, and how each is started: the strategies, the A/A control, the peers in
 * bench/peers, and targets from the command line.
 *
 * A server is known here by its command line and the line it prints; nothing of it is imported. What cannot
 * be built or found is left out with a note, never silently.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import type { StrategyName } from '../../src/options/types.ts';
import type { CompareOptions, TargetOption } from './compare-options.ts';
import type { Entrant } from './plan.ts';

/** .ts from source, .js from dist. */
export const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const IS_BUILT = EXTENSION === '.js';
/** The folder that holds package.json. */
export const ROOT = join(import.meta.dirname, IS_BUILT ? '../../..' : '../..');
const PEER_SOURCES = join(ROOT, 'bench/peers');

/** A text of the results without the folders of this machine: Node, and what is in ROOT, by their names. */
export function withoutFolders(text: string): string {
  return text.replaceAll(process.execPath, 'node').replaceAll(`${ROOT}/`, '');
}

export interface Contestant extends Entrant {
  command: string;
  args: readonly string[];
}

export interface Contestants {
  list: Contestant[];
  /** The label that all others are compared with. */
  reference: string;
  notes: string[];
  compiler: string | null;
}

function newestMs(folder: string): number {
  const names = existsSync(folder) ? readdirSync(folder, { recursive: true, encoding: 'utf8' }) : [];
  const files = names.map((name) => statSync(join(folder, name), { throwIfNoEntry: false }));
  return Math.max(0, ...files.map((file) => (file?.isFile() ? file.mtimeMs : 0)));
}

/** The built server, or the source when that is newer than the build or nothing was built. */
export function serverEntry(notes: string[]): string {
  const built = join(ROOT, 'dist/src/bin.js');
  if (IS_BUILT) return built;
  const sourceMs = Math.max(newestMs(join(ROOT, 'src')), newestMs(join(ROOT, 'workers')));
  if (existsSync(built) && statSync(built).mtimeMs >= sourceMs) return built;
  notes.push('kecho-pool ran from src/bin.ts: dist/ is missing or older than the source (npm run build)');
  return join(ROOT, 'src/bin.ts');
}

function strategyContestant(
  entry: string,
  strategy: StrategyName,
  serverArgs: readonly string[],
): Contestant {
  const args = [entry, '--strategy', strategy, '--port', '0', '--no-pretty', ...serverArgs];
  return { label: strategy, kind: 'strategy', strategy, command: process.execPath, args };
}

export const CONTROL_SUFFIX = ' (again)';

/** The first line of what a program says about its version; null when there is no such program. */
function versionOf(command: string, ...args: string[]): string | null {
  const run = spawnSync(command, args, { encoding: 'utf8' });
  return run.error === undefined && run.status === 0 ? (run.stdout.split('\n')[0] ?? '') : null;
}

function build(
  source: string,
  binary: string,
  command: string,
  args: readonly string[],
  notes: string[],
): boolean {
  if (!existsSync(source)) {
    notes.push(`peer left out: ${source} is not there (an installed package has no sources)`);
    return false;
  }
  if (existsSync(binary) && statSync(binary).mtimeMs >= statSync(source).mtimeMs) return true;
  mkdirSync(dirname(binary), { recursive: true });
  const run = spawnSync(command, [...args, binary, source], { encoding: 'utf8' });
  if (run.status !== 0) notes.push(`peer left out: ${command} could not build ${source}`);
  return run.status === 0;
}

const C_FLAGS = ['-O2', '-Wall', '-Wextra', '-pthread', '-o'];

function cPeer(
  label: string,
  file: string,
  args: string[],
  compiler: string | null,
  notes: string[],
): Contestant[] {
  const binary = join(PEER_SOURCES, 'bin', file);
  if (compiler === null) {
    notes.push(`${label} left out: there is no C compiler (cc)`);
    return [];
  }
  if (!build(join(PEER_SOURCES, `${file}.c`), binary, 'cc', C_FLAGS, notes)) return [];
  return [{ label, kind: 'peer', strategy: null, command: binary, args }];
}

function goPeer(notes: string[]): Contestant[] {
  const binary = join(PEER_SOURCES, 'bin/echo-go');
  if (versionOf('go', 'version') === null) {
    notes.push('Go left out: there is no go command');
    return [];
  }
  if (!build(join(PEER_SOURCES, 'echo.go'), binary, 'go', ['build', '-o'], notes)) return [];
  return [{ label: 'Go', kind: 'peer', strategy: null, command: binary, args: [] }];
}

function nodePeer(label: string, file: string): Contestant {
  const script = join(import.meta.dirname, '../peers', `${file}${EXTENSION}`);
  return { label, kind: 'peer', strategy: null, command: process.execPath, args: [script] };
}

/** Sockets can be transferred to a worker since Node 24.20 and in all of 26. */
function canTransferSockets(): boolean {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  return major > 24 || (major === 24 && minor >= 20);
}

function peerContestants(compiler: string | null, notes: string[]): Contestant[] {
  const threads = String(availableParallelism());
  const transfer = canTransferSockets() ? [nodePeer('Piscina transfer', 'piscina-transfer')] : [];
  if (transfer.length === 0) notes.push('Piscina with transferred sockets left out: it needs Node 24.20');
  return [
    ...cPeer('C epoll', 'epoll', ['--threads', threads], compiler, notes),
    ...cPeer('C threads', 'threads', [], compiler, notes),
    nodePeer('node:net', 'node-net'),
    nodePeer('node:cluster', 'node-cluster'),
    ...transfer,
    ...goPeer(notes),
  ];
}

function targetContestant({ name, command }: TargetOption): Contestant {
  // exec: the shell gives its place to a simple command, so that the pid is the server's.
  const script = /[;&|\n]/.test(command) ? command : `exec ${command}`;
  return { label: name, kind: 'target', strategy: null, command: '/bin/sh', args: ['-c', script] };
}

/** Builds what must be built, and lists everybody in the order in which they are shown. */
export function gatherContestants(options: CompareOptions): Contestants {
  const notes: string[] = [];
  const entry = serverEntry(notes);
  const strategies = options.strategies.map((name) => strategyContestant(entry, name, options.serverArgs));
  // What the others are measured against: the strategy this project is about, or the last one named.
  const first = strategies.find(({ label }) => label === 'cmwq') ?? strategies.at(-1);
  if (first === undefined) throw new Error('no strategy to compare');
  const control: Contestant[] = options.control
    ? [{ ...first, label: `${first.label}${CONTROL_SUFFIX}`, kind: 'control' }]
    : [];
  const compiler = versionOf('cc', '--version');
  const peers = options.peers ? peerContestants(compiler, notes) : [];
  const targets = options.targets.map(targetContestant);
  return { list: [...strategies, ...control, ...peers, ...targets], reference: first.label, notes, compiler };
}
