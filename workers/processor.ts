/** Affinity scope `cpu`: a worker on duty for a CPU pool runs on the pool's processor. */
import { maskOf, ownCpus, setAffinity } from '../src/sys/affinity.ts';
import { shared } from './thread.ts';

/** Those of the process, which the thread has when it starts; pool k has number k, counted round. */
const cpus = shared.config.affinityScope === 'cpu' ? ownCpus() : [];
let current = -1;

/** Moves the thread to the processor of `pool`. Where the kernel refuses it, the thread stays where it may run. */
export function runOnProcessorOf(pool: number): void {
  const cpu = cpus[pool % cpus.length];
  if (cpu === undefined || cpu === current) return;
  current = setAffinity(0, maskOf(cpu)) ? cpu : -1;
}
