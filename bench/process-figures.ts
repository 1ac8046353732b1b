/**
 * Threads, memory and descriptors of a server and its child processes, from /proc. A process that is gone counts as 0.
 */
import { readdirSync, readFileSync } from 'node:fs';

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** The process and its descendants; children started by threads other than the main one are missing. */
export function processTree(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(processTree)];
}

/** What a process's clock ticks are to user space on all architectures. */
const TICK_MS = 10;

/** CPU time of the children that a process has waited for, and of those that they had. */
export function waitedCpuMs(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' '); // from the third on (proc_pid_stat(5))
  return (Number(fields[13] ?? 0) + Number(fields[14] ?? 0)) * TICK_MS;
}

function statusField(pid: number, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(read(`/proc/${pid}/status`));
  return Number(match?.[1] ?? 0);
}

function sum(pids: readonly number[], of: (pid: number) => number): number {
  return pids.reduce((total, pid) => total + of(pid), 0);
}

export function treeThreads(pids: readonly number[]): number {
  return sum(pids, (pid) => statusField(pid, 'Threads'));
}

/** Resident memory; pages shared by several processes count once for each. */
export function treeResidentKib(pids: readonly number[]): number {
  return sum(pids, (pid) => statusField(pid, 'VmRSS'));
}

/** Memory mappings of one process; the limit is vm.max_map_count, 65,530 by default. */
export function mappings(pid: number): number {
  return read(`/proc/${pid}/maps`).split('\n').length - 1;
}

/** Open descriptors of one process. */
export function openDescriptors(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}
