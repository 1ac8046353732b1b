/**
 * What the kernel says about a server: threads and memory, of its process and those it has started; descriptors.
 *
 * Reads /proc; disturbs the server by nothing but the time the kernel takes to answer. A process that is gone
 * counts as nothing.
 */
import { readdirSync, readFileSync } from 'node:fs';

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** The process and its descendants, as far as their main threads have started them. */
export function processTree(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(processTree)];
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

/** Resident memory, shared pages counted in each process that has them. */
export function treeResidentKib(pids: readonly number[]): number {
  return sum(pids, (pid) => statusField(pid, 'VmRSS'));
}

/** Mappings of memory of one process; it may have vm.max_map_count of them, 65,530 unless changed. */
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
