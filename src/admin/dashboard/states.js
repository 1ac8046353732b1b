// @ts-check
/**
 * The worker states that the page shows: letter, colour (dashboard.css, .s-<key>) and name, in the order of the legend
 * and of the stacked chart. `running` exists only here: a worker on duty that executes an item.
 */

/**
 * @typedef {import('../../schema/status.ts').ServerStatus} ServerStatus
 * @typedef {import('../../schema/status.ts').WorkerStatus} WorkerStatus
 * @typedef {WorkerStatus['state'] | 'running'} ShownState
 */

/** @type {readonly { key: ShownState, letter: string, name: string, meaning: string }[]} */
export const STATES = [
  { key: 'running', letter: 'R', name: 'running', meaning: 'on duty: executes an item, awake' },
  {
    key: 'onDuty',
    letter: 'D',
    name: 'on duty without an item',
    meaning: 'holds the run slot, but none is ready',
  },
  { key: 'blocked', letter: 'B', name: 'blocked', meaning: 'sleeps inside its item' },
  {
    key: 'cpuIntensive',
    letter: 'C',
    name: 'CPU-intensive',
    meaning: 'computed too long and lost the run slot',
  },
  {
    key: 'finishing',
    letter: 'F',
    name: 'finishing',
    meaning: 'woke up, ends its item without the run slot',
  },
  { key: 'idle', letter: 'I', name: 'idle', meaning: 'sleeps until a run slot or a connection is for it' },
  { key: 'starting', letter: 'S', name: 'starting', meaning: 'its thread is being created' },
  { key: 'retired', letter: 'X', name: 'retired', meaning: 'culled, its thread is ending' },
  {
    key: 'rescuer',
    letter: '!',
    name: 'rescuer',
    meaning: 'runs items while no other worker can be created',
  },
];

/** Index in STATES, by key. */
const INDEX = new Map(STATES.map(({ key }, index) => [key, index]));

/**
 * The index in STATES of a worker's state. Under kthread and workqueue, which have no CPU pools, a worker that sleeps in
 * its item stays on duty; it is shown as what it does.
 * @param {WorkerStatus} worker
 * @returns {number}
 */
export function shownState({ state, pool, connection, sleepsIn }) {
  if (state !== 'onDuty' || connection === null) return INDEX.get(state) ?? 0;
  return INDEX.get(pool === null && sleepsIn !== null ? 'blocked' : 'running') ?? 0;
}

/**
 * Writes the number of workers in each of STATES into `counts`.
 * @param {readonly WorkerStatus[]} workers
 * @param {number[]} counts
 */
export function countShown(workers, counts) {
  counts.fill(0);
  for (const worker of workers) {
    const index = shownState(worker);
    counts[index] = (counts[index] ?? 0) + 1;
  }
}
