/**
 * --pin: the load generator and the server on processors of their own, within those that the operator allows.
 */
import { UsageError } from '../src/options/values.ts';
import { affinityOf, cpusOf } from '../src/sys/affinity.ts';

export interface Pinning {
  generator: number[];
  /** The others. */
  server: number[];
}

/** The last of this process's processors for the generator. Throws UsageError when there are fewer than two. */
export function pinning(cpus = cpusOf(affinityOf(0) ?? new Uint8Array())): Pinning {
  if (cpus.length >= 2) return { generator: cpus.slice(-1), server: cpus.slice(0, -1) };
  const why = `this process may use ${cpus.length} processor${cpus.length === 1 ? '' : 's'}`;
  throw new UsageError('--pin', undefined, 'only with two or more (taskset, cpuset)', why);
}
