/**
 * The processors that threads may run on (sched_setaffinity(2), cpuset(7)).
 *
 * Any thread may be named by its kernel id; 0 is the caller. The kernel refuses a mask without a processor that the
 * process's cgroup allows, and forgets the rest of it, so a mask made from an earlier sched_getaffinity(2) is always
 * within what the operator allows (taskset, cpuset).
 */
import { libc } from './libc.ts';

/** CONFIG_NR_CPUS of the largest kernels is 8192. */
const MASK_BYTES = 1024;

/** One bit for each processor. */
export type CpuMask = Uint8Array;

/** Writes to `mask`. Null when it cannot be read: the thread has ended, or a filter refuses the call. */
export function affinityOf(tid: number, mask: CpuMask = new Uint8Array(MASK_BYTES)): CpuMask | null {
  return libc.sched_getaffinity(tid, MASK_BYTES, mask) < 0 ? null : mask;
}

/** False when the kernel refuses it. */
export function setAffinity(tid: number, mask: CpuMask): boolean {
  return libc.sched_setaffinity(tid, MASK_BYTES, mask) === 0;
}

/** The processor that the calling thread runs on now. */
export function currentCpu(): number {
  return libc.sched_getcpu();
}

let mainMask: CpuMask = new Uint8Array(MASK_BYTES);
let spareMask: CpuMask = new Uint8Array(MASK_BYTES);
let mainCpusKnown: readonly number[] = [];

/** The processors that main may use now, which the operator may change, in ascending order; none when it cannot be read. */
export function mainCpus(): readonly number[] {
  if (affinityOf(process.pid, spareMask) === null) return [];
  if (Buffer.compare(spareMask, mainMask) === 0) return mainCpusKnown;
  [mainMask, spareMask] = [spareMask, mainMask];
  mainCpusKnown = cpusOf(mainMask);
  return mainCpusKnown;
}

/** Whether the kernel lets this thread choose its processors: a filter may refuse it (seccomp(2)). */
export function canSetAffinity(): boolean {
  const mask = affinityOf(0);
  return mask !== null && setAffinity(0, mask);
}

/** A mask with these processors. */
export function maskOf(...cpus: readonly number[]): CpuMask {
  const mask = new Uint8Array(MASK_BYTES);
  for (const cpu of cpus) mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
  return mask;
}

/** The processors of a mask, in ascending order. */
export function cpusOf(mask: CpuMask): number[] {
  const cpus: number[] = [];
  for (let cpu = 0; cpu < mask.length * 8; cpu++) {
    if (((mask[cpu >> 3] as number) >> (cpu & 7)) & 1) cpus.push(cpu); // within the mask
  }
  return cpus;
}
