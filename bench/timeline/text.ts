/**
 * Timelines as text: a Gantt chart, and measured beside expected times. Pure.
 */
import type { Timeline } from './run.ts';
import {
  type Expected,
  expectedMs,
  type ItemTimes,
  lengthMs,
  offByMs,
  type Scenario,
  TOLERANCE,
} from './scenarios.ts';

const COLUMNS = 120;
const CHARACTERS_PER_TICK = 10;

export function isWithin(timeline: Timeline): boolean {
  return timeline.deviation <= TOLERANCE;
}

/** The time per character, and between two ticks. */
export function scaleOf({ untilMs }: Timeline): { stepMs: number; tickMs: number } {
  let stepMs = 1;
  while (untilMs / stepMs > COLUMNS) stepMs *= String(stepMs).startsWith('2') ? 2.5 : 2; // 1, 2, 5, 10, ...
  return { stepMs, tickMs: CHARACTERS_PER_TICK * stepMs };
}

/** `#` burns, `.` sleeps. */
export function gantt(timeline: Timeline): string[] {
  const { untilMs } = timeline;
  const { stepMs, tickMs } = scaleOf(timeline);
  const column = (ms: number) => Math.max(0, Math.round(ms / stepMs));
  let axis = '';
  for (let ms = 0; ms <= untilMs; ms += tickMs) axis = axis.padEnd(column(ms)) + ms;
  const rows = timeline.items.map(({ name, steps }) => {
    const cells = new Array<string>(column(untilMs) + 1).fill(' ');
    for (const { kind, startMs, endMs } of steps) {
      cells.fill(kind === 'burn' ? '#' : '.', column(startMs), Math.max(column(endMs), column(startMs) + 1));
    }
    return `  ${name} ${cells.join('').trimEnd()}`;
  });
  return [...rows, `     ${axis} ms`];
}

function cell(ms: number): string {
  return ms.toFixed(0).padStart(5);
}

function pair({ startMs, finishMs }: ItemTimes): string {
  return `${cell(startMs)} ${cell(finishMs)}`;
}

function expectedPair({ startMs, finishMs, latestMs }: Expected['ms'][number]): string {
  return `${cell(startMs)} ${cell(finishMs)}${latestMs === undefined ? '    ' : `-${latestMs}`}`;
}

function comparison({ scenario, items }: Timeline, documentMs: readonly ItemTimes[]): string[] {
  const expected = expectedMs(scenario);
  const rows = items.map((item, i) => {
    const document = documentMs[i] as ItemTimes; // one per item
    const own = expected[i] as ItemTimes; // one per item
    const share = ((100 * offByMs(own, item)) / lengthMs(scenario)).toFixed(1);
    return `  ${item.name}   ${pair(document)}     ${expectedPair(own)} ${pair(item)}   ${share.padStart(5)} %`;
  });
  return ['       document x10      expected       measured      deviation', ...rows];
}

function verdict(timeline: Timeline, tries: number): string {
  const limit = `${TOLERANCE * 100} % of ${lengthMs(timeline.scenario)} ms`;
  const result = isWithin(timeline) ? `within ${limit}` : `MORE THAN ${limit}`;
  return `  largest deviation ${(100 * timeline.deviation).toFixed(1)} %: ${result}; tries: ${tries}`;
}

function command({ args, services }: Scenario): string {
  return `  kecho-pool ${[...args, ...services.map((service) => `--service ${service}`)].join(' ')}`;
}

/** The chart, and for the document's scenarios start and finish of each item in ms. */
export function report(timeline: Timeline, tries: number): string[] {
  const { scenario } = timeline;
  const drawn = [scenario.title, command(scenario), '', ...gantt(timeline), ''];
  const { documentMs, expected } = scenario;
  if (documentMs === undefined) return drawn;
  const note = expected === undefined ? [] : [`  expected here: ${expected.why}`];
  return [...drawn, ...comparison(timeline, documentMs), ...note, verdict(timeline, tries), ''];
}
