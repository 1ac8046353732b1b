/**
 * The programs that benchmarks start: where they are and how they are built.
 *
 * kecho-pool and the peers are only ever started by command line; nothing is imported from them.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** .ts from source, .js from dist. */
export const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const IS_BUILT = EXTENSION === '.js';
/** The folder that holds package.json. */
export const ROOT = join(import.meta.dirname, IS_BUILT ? '../..' : '..');
const PEER_SOURCES = join(ROOT, 'bench/peers');

/** "kecho-pool 0.1.0". */
export function programName(): string {
  const { name, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    name: string;
    version: string;
  };
  return `${name} ${version}`;
}

/**
 * Takes folders out of texts for published results: files below ROOT and the working folder keep their paths from there,
 * others only their names.
 */
export function withoutFolders(text: string): string {
  return text
    .replaceAll(process.execPath, 'node')
    .replaceAll(`${ROOT}/`, '')
    .replaceAll(`${process.cwd()}/`, '')
    .replaceAll(/(?<=^|[\s"'`=(:;|&<>])(?:file:\/\/)?\/(?:[^\s/"'`:;|&<>]+\/)+/g, '');
}

export interface Command {
  command: string;
  args: readonly string[];
}

/** Whether the build is newer than the files and folders that match; a folder's time tells that a file is gone. */
export function isBuilt(sources: readonly string[]): boolean {
  const changedMs = (path: string) => statSync(join(ROOT, path), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const builtMs = changedMs('dist/src/bin.js');
  return globSync(sources, { cwd: ROOT }).every((path) => changedMs(path) < builtMs);
}

/** The built server; its source, with a note, when the build is missing or older. */
export function serverEntry(notes: string[] = []): string {
  const built = join(ROOT, 'dist/src/bin.js');
  if (IS_BUILT || isBuilt(['{src,workers}/**'])) return built;
  notes.push('kecho-pool ran from src/bin.ts: dist/ is missing or older than the source (npm run build)');
  return join(ROOT, 'src/bin.ts');
}

/** The API's module beside serverEntry(): if built, as users run it; threads that strip types need several times the memory. */
export function apiEntry(): string {
  return serverEntry().replace(/bin\.(js|ts)$/, 'index.$1');
}

/** A kecho-pool server that logs JSON and listens on port 0. */
export function kechoPool(args: readonly string[], entry = serverEntry()): Command {
  return { command: process.execPath, args: [entry, '--port', '0', '--no-pretty', ...args] };
}

/** A peer that runs on Node. */
export function nodePeer(name: string): Command {
  return { command: process.execPath, args: [join(import.meta.dirname, 'peers', `${name}${EXTENSION}`)] };
}

const C_COMPILER = ['cc', '-O2', '-Wall', '-Wextra', '-pthread', '-o'] as const;
const GO_COMPILER = ['go', 'build', '-o'] as const;

/** The binary of a program in bench/peers, rebuilt when older than its source. Throws when it cannot be built. */
export function builtPeer(file: 'client.c' | 'echo.go' | 'epoll.c' | 'threads.c'): string {
  const source = join(PEER_SOURCES, file);
  const binary = join(PEER_SOURCES, 'bin', file.replace('.', '-'));
  if (!existsSync(source))
    throw new Error(`bench/peers/${file} is missing (an installed package has no sources)`);
  if (existsSync(binary) && statSync(binary).mtimeMs >= statSync(source).mtimeMs) return binary;
  mkdirSync(dirname(binary), { recursive: true });
  const [compiler, ...flags] = file.endsWith('.go') ? GO_COMPILER : C_COMPILER;
  const unfinished = `${binary}.${process.pid}`; // other processes may build or run it meanwhile
  const { error, status, stderr } = spawnSync(compiler, [...flags, unfinished, source], { encoding: 'utf8' });
  if (error !== undefined) throw new Error(`no ${compiler} command to build it`);
  if (status !== 0)
    throw new Error(`${compiler} could not build bench/peers/${file}: ${stderr.trim().split('\n')[0]}`);
  renameSync(unfinished, binary);
  return binary;
}
