/**
 * Threads, memory and descriptors of a server and its child processes, from /proc. A process that is gone counts as 0.
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Empty when the process is gone, or the file is not for this user. */
export function readProc(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** The process and its descendants; children started by threads other than the main one are missing. */
export function processTree(pid: number): number[] {
  const children = readProc(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(processTree)];
}

/** USER_HZ, which Linux has not changed on x64 and arm64. */
const TICK_MS = 10;

export interface ProcessStat {
  parent: number;
  /** Distinguishes processes that have had the same PID. */
  startTime: string;
  cpuMs: number;
  /** CPU time of the children that it has waited for, and of those that they had. */
  waitedCpuMs: number;
}

/** Null for a process that is gone. */
export function processStat(pid: number): ProcessStat | null {
  const text = readProc(`/proc/${pid}/stat`);
  if (text === '') return null;
  // The name, in parentheses, may contain anything; the fields are counted from 3 on (proc_pid_stat(5)).
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const at = (number: number) => Number(fields[number - 3] ?? 0);
  return {
    parent: at(4),
    startTime: fields[22 - 3] ?? '',
    cpuMs: (at(14) + at(15)) * TICK_MS,
    waitedCpuMs: (at(16) + at(17)) * TICK_MS,
  };
}

function statusField(pid: number, name: string): number {
  const match = new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(readProc(`/proc/${pid}/status`));
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
  return readProc(`/proc/${pid}/maps`).split('\n').length - 1;
}

/** Open descriptors of one process. */
export function openDescriptors(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}
