/**
 * A control group of this process's own for the servers under test, whose CPU time includes every process that ever ran
 * in it (cgroup v2, cpu.stat).
 *
 * Main thread. It enables no controller, so the kernel schedules its processes as before. Only deltas of the CPU time are
 * used, so one group serves all servers in turn. The folder is removed at the end, unless this process is killed by
 * SIGKILL. The operator may not allow a group: create() returns null then.
 */
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

const REMOVE_TRIES = 40;
const REMOVE_EVERY_MS = 25;

/** The folder of this process's own group; null without cgroup v2. */
function ownFolder(): string | null {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  const mount = mounts.find((line) => line.includes(' - cgroup2 '))?.split(' ')[4];
  const [, own] = /^0::(.*)$/m.exec(readFileSync('/proc/self/cgroup', 'utf8')) ?? [];
  return mount === undefined || own === undefined ? null : join(mount, own);
}

/** User and system CPU time of all processes that ran in the group, in ms; NaN when it cannot be read. */
export function cgroupCpuMs(folder: string): number {
  try {
    const [, us] = /^usage_usec (\d+)$/m.exec(readFileSync(join(folder, 'cpu.stat'), 'latin1')) ?? [];
    return us === undefined ? Number.NaN : Number(us) / 1000;
  } catch {
    return Number.NaN;
  }
}

export class Cgroup {
  readonly folder: string;
  /** Whether every process that was added is in it. */
  isComplete = true;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static create(): Cgroup | null {
    try {
      const own = ownFolder();
      if (own === null) return null;
      const group = new Cgroup(join(own, `kecho-pool-${process.pid}`));
      mkdirSync(group.folder);
      process.once('exit', () => group.remove());
      return group;
    } catch {
      return null;
    }
  }

  /** Moves a process and its threads into the group; processes that it starts from then on are in it, too. */
  add(pid: number): void {
    try {
      writeFileSync(join(this.folder, 'cgroup.procs'), String(pid));
    } catch {
      this.isComplete = false;
    }
  }

  /** False while a process is in it. */
  private remove(): boolean {
    try {
      rmdirSync(this.folder);
      return true;
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT';
    }
  }

  /** Waits for the killed processes to be gone. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (let tries = 0; tries < REMOVE_TRIES && !this.remove(); tries++) await pause(REMOVE_EVERY_MS);
  }
}
