/**
 * The timelines of the kernel's document (Documentation/core-api/workqueue.rst, "Example Execution Scenarios"), scaled
 * by ten, and the server's arguments for each.
 *
 * w0 burns 50 ms, sleeps 100 ms and burns 50 ms; w1 and w2 burn 50 ms and sleep 100 ms.
 */

export interface ItemTimes {
  startMs: number;
  finishMs: number;
}

/** Expected times on a real machine that differ from the document's, and the reason. */
export interface Expected {
  /** With `latestMs` the item may finish at any time from finishMs to latestMs. */
  ms: readonly (ItemTimes & { latestMs?: number })[];
  why: string;
}

export const SCENARIO_NAMES = ['workqueue', 'cmwq', 'cmwq-max-active-2', 'cmwq-cpu-intensive'] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

export interface Scenario {
  title: string;
  /** Server arguments of this scenario. */
  args: readonly string[];
  /** Services of w0, w1 and so on. */
  services: readonly string[];
  /** Rounds that are not measured: cmwq creates workers on demand, which takes 25 to 35 ms each. */
  warmUps: number;
  /** Whether an item is a whole connection, which the client must close before the next item can start. */
  wholeConnections: boolean;
  /** The document's times, multiplied by ten; absent for other scenarios. */
  documentMs?: readonly ItemTimes[];
  expected?: Expected;
}

/** As a fraction of the length of the timeline. */
export const TOLERANCE = 0.15;

const LONG = 'burn:50ms,sleep:100ms,burn:50ms';
const SHORT = 'burn:50ms,sleep:100ms';
const PLAIN = [LONG, SHORT, SHORT] as const;
// Threshold 0: otherwise the monitor would mark burns of 50 ms as CPU-intensive.
const CMWQ = ['--strategy', 'cmwq', '--cpus', '1', '--cpu-intensive-thresh', '0'];

function times(...pairs: [startMs: number, finishMs: number][]): ItemTimes[] {
  return pairs.map(([startMs, finishMs]) => ({ startMs, finishMs }));
}

/**
 * The document assumes one CPU and FIFO scheduling, so the second of two CPU-intensive items burns after the first. A
 * real scheduler gives them a core each, shares one between them, or anything in between.
 */
const CPU_INTENSIVE: Expected = {
  ms: [
    { startMs: 0, finishMs: 200 },
    { startMs: 50, finishMs: 200, latestMs: 250 },
    { startMs: 50, finishMs: 200, latestMs: 250 },
  ],
  why: 'w1 and w2 burn at the same time, on two cores or sharing one; in the document one after another',
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

/** The larger deviation of start and finish. */
export function offByMs(expected: Expected['ms'][number], measured: ItemTimes): number {
  const { startMs, finishMs, latestMs = finishMs } = expected;
  const tooEarlyMs = finishMs - measured.finishMs;
  return Math.max(Math.abs(measured.startMs - startMs), tooEarlyMs, measured.finishMs - latestMs);
}

/** Length of the document's timeline, multiplied by ten; 0 for other scenarios. */
export function lengthMs(scenario: Scenario): number {
  return Math.max(0, ...(scenario.documentMs ?? []).map(({ finishMs }) => finishMs));
}
