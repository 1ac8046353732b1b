/**
 * Where the numbers come from: the machine and the versions. Reads, changes nothing.
 */
import { spawnSync } from 'node:child_process';
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';

export interface Environment {
  date: string;
  kernel: string;
  arch: string;
  cpu: string;
  cores: number;
  availableParallelism: number;
  memoryMiB: number;
  /** Before the first run: above 0.5 or so, somebody else uses the machine. */
  loadAverage1Min: number;
  node: string;
  compiler: string | null;
  commit: string | null;
}

function commit(): string | null {
  const run = spawnSync('git', ['describe', '--always', '--dirty'], {
    encoding: 'utf8',
    cwd: import.meta.dirname,
  });
  return run.status === 0 ? run.stdout.trim() : null;
}

/** The environment at this moment. */
export function environment(compiler: string | null): Environment {
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
    compiler,
    commit: commit(),
  };
}
