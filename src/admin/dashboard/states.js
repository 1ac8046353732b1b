// @ts-check
/**
 * The states of a worker as the page shows them: one letter, one colour (dashboard.css, .s-<key>), one name, in the
 * order of the legend and of the stacked curve. `running` is this page's: a worker on duty that is in an item.
 */

/**
 * @typedef {import('../../schema/status.ts').ServerStatus} ServerStatus
 * @typedef {import('../../schema/status.ts').WorkerStatus} WorkerStatus
 * @typedef {WorkerStatus['state'] | 'running'} ShownState
 */

/** @type {readonly { key: ShownState, letter: string, name: string, meaning: string }[]} */
export const STATES = [
  { key: 'running', letter: 'R', name: 'running', meaning: 'in an item, awake, counted in nr_running' },
  { key: 'onDuty', letter: 'D', name: 'on duty', meaning: 'holds the run slot, waits for the next item' },
  { key: 'blocked', letter: 'B', name: 'blocked', meaning: 'sleeps inside an item, gave the run slot up' },
  {
    key: 'cpuIntensive',
    letter: 'C',
    name: 'CPU-intensive',
    meaning: 'computes so long that the slot was taken',
  },
  {
    key: 'finishing',
    letter: 'F',
    name: 'finishing',
    meaning: 'woke up, ends its item beside the slot holder',
  },
  { key: 'idle', letter: 'I', name: 'idle', meaning: 'asleep, ready to be kicked' },
  { key: 'starting', letter: 'S', name: 'starting', meaning: 'its thread is being made' },
  { key: 'retired', letter: 'X', name: 'retired', meaning: 'culled, its thread is ending' },
  { key: 'rescuer', letter: '!', name: 'rescuer', meaning: 'stands by for when no thread can be made' },
];

/** Number of a state in STATES, by key. */
const INDEX = new Map(STATES.map(({ key }, index) => [key, index]));

/**
 * Which of STATES a worker is in.
 * @param {WorkerStatus} worker
 * @returns {number}
 */
export function shownState({ state, connection }) {
  return INDEX.get(state === 'onDuty' && connection !== null ? 'running' : state) ?? 0;
}

/**
 * How many workers are in each of STATES, into `counts`.
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
