/**
 * What the ledger knows of a work item.
 */

/** An item that has begun and not ended. */
export interface Item {
  readonly workerId: number;
  readonly pool: number;
  readonly fd: number;
  inSlot: boolean;
  sleeps: 'no' | 'declared' | 'undeclared';
  /** Found asleep by the monitor, which has not seen it wake. */
  noticed: boolean;
  /** Since when all this is so and a monitor could see it; the CPU time of its worker then. */
  sinceMs: number;
  sinceCpuMs: number;
  /** Out of the concurrency count until it ends. */
  intensive: boolean;
  /** Its worker has died. */
  dead: boolean;
}

export function newItem(workerId: number, pool: number, fd: number): Item {
  return {
    workerId,
    pool,
    fd,
    inSlot: true,
    sleeps: 'no',
    noticed: false,
    sinceMs: 0,
    sinceCpuMs: 0,
    intensive: false,
    dead: false,
  };
}

/** Whether the item counts as running. What the monitor has not seen yet is as before. */
export function isCounted({ sleeps, noticed, intensive }: Item): boolean {
  return sleeps !== 'declared' && !noticed && !intensive;
}
