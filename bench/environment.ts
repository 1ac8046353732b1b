/**
 * The machine, versions and limits behind a set of results. Read-only.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { descriptorLimit } from '../src/sys/socket.ts';
import type { EnvironmentInfo } from './compare/types.ts';
import { ROOT } from './programs.ts';

/** The first line a program prints; null when it is missing or fails. */
function firstLine(command: string, ...args: string[]): string | null {
  const run = spawnSync(command, args, { encoding: 'utf8', cwd: import.meta.dirname });
  return run.error === undefined && run.status === 0 ? (run.stdout.split('\n')[0] ?? '') : null;
}

function setting(path: string): string | null {
  try {
    return readFileSync(`/proc/sys/net/${path}`, 'utf8').trim().replaceAll(/\s+/g, '-');
  } catch {
    return null;
  }
}

export function environment(): EnvironmentInfo {
  const somaxconn = setting('core/somaxconn');
  return {
    date: new Date().toISOString(),
    kernel: release(),
    arch: arch(),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    availableParallelism: availableParallelism(),
    memoryMiB: Math.round(totalmem() / 2 ** 20),
    loadAverage1Min: loadavg()[0] ?? 0,
    node: process.version,
    compiler: firstLine('cc', '--version'),
    commit: firstLine('git', 'describe', '--always', '--dirty'),
    descriptorLimit: descriptorLimit(),
    somaxconn: somaxconn === null ? null : Number(somaxconn),
    localPorts: setting('ipv4/ip_local_port_range'),
  };
}

function versionOf(name: string): string {
  const file = join(ROOT, 'node_modules', name, 'package.json');
  return `${name} ${(JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version}`;
}

/** The head of a text in bench/results; `packages` are the npm packages used, whose versions are listed. */
export function environmentLines(packages: readonly string[] = [], env = environment()): string[] {
  const versions = [`Node ${env.node}`, env.compiler ?? 'no C compiler', ...packages.map(versionOf)];
  const system = `Linux ${env.kernel} ${env.arch}`;
  return [
    `date      ${env.date}`,
    `commit    ${env.commit ?? 'unknown'}`,
    `machine   ${env.cpu}, ${env.cores} cores, ${env.memoryMiB} MiB, ${system}`,
    `load      ${env.loadAverage1Min.toFixed(2)} before`,
    `versions  ${versions.join(', ')}`,
  ];
}
