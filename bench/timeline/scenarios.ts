/**
 * The timelines of the kernel's document (Documentation/core-api/workqueue.rst, "Example Execution Scenarios"),
 * ten times as long, and how the server is started for each.
 *
 * w0 burns 50 ms, sleeps 100 ms and burns 50 ms; w1 and w2 burn 50 ms and sleep 100 ms.
 */

export interface ItemTimes {
  startMs: number;
  finishMs: number;
}

/** What to expect on a real machine, where that is not what the document says, and why. */
export interface Expected {
  /** With `latestMs` it may finish at any time from finishMs until then. */
  ms: readonly (ItemTimes & { latestMs?: number })[];
  why: string;
}

export const SCENARIO_NAMES = ['workqueue', 'cmwq', 'cmwq-max-active-2', 'cmwq-cpu-intensive'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

export interface Scenario {
  title: string;
  /** Of the server, besides those that all have. */
  args: readonly string[];
  /** Of w0, w1 and so on. */
  services: readonly string[];
  /** Rounds that are not measured: cmwq makes its workers on demand, which takes 25 to 35 ms each. */
  warmUps: number;
  /** Whether an item is a whole connection, which the client must end for the next to begin. */
  wholeConnections: boolean;
  /** What the document says, times ten; absent when it is not the document's. */
  documentMs?: readonly ItemTimes[];
  expected?: Expected;
}

/** Of the length of the whole timeline. */
export const TOLERANCE = 0.15;

const LONG = 'burn:50ms,sleep:100ms,burn:50ms';
const SHORT = 'burn:50ms,sleep:100ms';
const PLAIN = [LONG, SHORT, SHORT] as const;
// The watchdog would take burns of 50 ms for CPU-intensive.
const CMWQ = ['--strategy', 'cmwq', '--cpus', '1', '--cpu-intensive-thresh', '0'];

function times(...pairs: [startMs: number, finishMs: number][]): ItemTimes[] {
  return pairs.map(([startMs, finishMs]) => ({ startMs, finishMs }));
}

/**
 * The document has one CPU and FIFO scheduling, so of two CPU-intensive items the second burns when the first has
 * burnt. A real scheduler gives them a core each, or shares one among them, or anything between.
 */
const CPU_INTENSIVE: Expected = {
  ms: [
    { startMs: 0, finishMs: 200 },
    { startMs: 50, finishMs: 200, latestMs: 250 },
    { startMs: 50, finishMs: 200, latestMs: 250 },
  ],
  why: 'w1 and w2 burn at the same time, on two cores or sharing one; in the document one after the other',
};

export const SCENARIOS: readonly (Scenario & { name: ScenarioName })[] = [
  {
    name: 'workqueue',
    title: 'original workqueue, one worker',
    args: ['--strategy', 'workqueue', '--workers', '1'],
    services: PLAIN,
    warmUps: 1,
    wholeConnections: true,
    documentMs: times([0, 200], [200, 350], [350, 500]),
  },
  {
    name: 'cmwq',
    title: 'cmwq, one CPU pool, max_active 3',
    args: [...CMWQ, '--max-active', '3'],
    services: PLAIN,
    warmUps: 3,
    wholeConnections: false,
    documentMs: times([0, 200], [50, 200], [100, 250]),
  },
  {
    name: 'cmwq-max-active-2',
    title: 'cmwq, one CPU pool, max_active 2',
    args: [...CMWQ, '--max-active', '2'],
    services: PLAIN,
    warmUps: 3,
    wholeConnections: false,
    documentMs: times([0, 200], [50, 200], [200, 350]),
  },
  {
    name: 'cmwq-cpu-intensive',
    title: 'cmwq, one CPU pool, w1 and w2 CPU-intensive',
    args: CMWQ,
    services: [LONG, `cpu-intensive,${SHORT}`, `cpu-intensive,${SHORT}`],
    warmUps: 4,
    wholeConnections: false,
    documentMs: times([0, 200], [50, 200], [50, 250]),
    expected: CPU_INTENSIVE,
  },
];

export function expectedMs(scenario: Scenario): Expected['ms'] {
  return scenario.expected?.ms ?? scenario.documentMs ?? [];
}

/** By how much the worse of start and finish is off. */
export function offByMs(expected: Expected['ms'][number], measured: ItemTimes): number {
  const { startMs, finishMs, latestMs = finishMs } = expected;
  const tooEarlyMs = finishMs - measured.finishMs;
  return Math.max(Math.abs(measured.startMs - startMs), tooEarlyMs, measured.finishMs - latestMs);
}

/** How long the whole timeline is in the document; 0 when it is not the document's. */
export function lengthMs(scenario: Scenario): number {
  return Math.max(0, ...(scenario.documentMs ?? []).map(({ finishMs }) => finishMs));
}
