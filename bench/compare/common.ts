/**
 * What all runs of a comparison share. Types, and one placement.
 */
import type { Cgroup } from '../cgroup.ts';
import type { Placement } from '../child-process.ts';
import type { Pinning } from '../pinning.ts';
import type { ServerUnderTest } from '../server-under-test.ts';
import type { CompareOptions } from './compare-options.ts';
import type { ServerHost } from './server-host.ts';

export interface Common extends Pick<CompareOptions, 'messageBytes' | 'seed'> {
  /** For the warm-up of the generator. */
  echo: ServerUnderTest;
  /** Of the servers on this machine; null where none can be made. */
  cgroup: Cgroup | null;
  host: ServerHost;
  pinned: Pinning | null;
}

/** Of the load generator. */
export function onGenerator({ pinned }: Pick<Common, 'pinned'>): Placement {
  return pinned === null ? {} : { cpus: pinned.generator };
}
