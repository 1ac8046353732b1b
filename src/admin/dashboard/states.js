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
  { key: 'running', letter: 'R', name: 'running', meaning: 'executes an item, awake, counted in nr_running' },
  { key: 'onDuty', letter: 'D', name: 'on duty', meaning: 'holds the run slot, waits for the next item' },
  { key: 'blocked', letter: 'B', name: 'blocked', meaning: 'sleeps inside an item, without a run slot' },
  {
    key: 'cpuIntensive',
    letter: 'C',
    name: 'CPU-intensive',
    meaning: 'computed too long, lost the run slot',
  },
  {
    key: 'finishing',
    letter: 'F',
    name: 'finishing',
    meaning: 'woke up, finishes its item without the run slot',
  },
  { key: 'idle', letter: 'I', name: 'idle', meaning: 'asleep, waits to be woken' },
  { key: 'starting', letter: 'S', name: 'starting', meaning: 'its thread is being created' },
  { key: 'retired', letter: 'X', name: 'retired', meaning: 'culled, its thread is ending' },
  { key: 'rescuer', letter: '!', name: 'rescuer', meaning: 'executes items when no thread can be created' },
];

/** Index in STATES, by key. */
const INDEX = new Map(STATES.map(({ key }, index) => [key, index]));

/**
 * The index in STATES of a worker's state.
 * @param {WorkerStatus} worker
 * @returns {number}
 */
export function shownState({ state, connection }) {
  return INDEX.get(state === 'onDuty' && connection !== null ? 'running' : state) ?? 0;
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
