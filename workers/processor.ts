/** Affinity scope `cpu`: a worker on duty for a CPU pool runs on the pool's processor. */
import { type CpuMask, mainCpus, maskOf, setAffinity } from '../src/sys/affinity.ts';
import { shared } from './thread.ts';

/** Index = processor. */
const masks: CpuMask[] = [];

/**
 * Moves the thread to the processor of `pool`: of those that main may use, pool k has number k, counted round. At each
 * duty, since the operator may have moved the thread meanwhile. Where the kernel refuses it, the thread stays where it
 * may run.
 */
export function runOnProcessorOf(pool: number): void {
  if (shared.config.affinityScope !== 'cpu') return;
  const cpus = mainCpus();
  const cpu = cpus[pool % cpus.length];
  if (cpu === undefined) return;
  masks[cpu] ??= maskOf(cpu);
  setAffinity(0, masks[cpu]);
}
