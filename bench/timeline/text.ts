/**
 * Timelines as text: who burnt and who slept when, and the times beside the expected ones. Pure.
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

const MS_PER_CHARACTER = 5;
const TICK_MS = 50;

export function isWithin(timeline: Timeline): boolean {
  return timeline.deviation <= TOLERANCE;
}

function column(ms: number): number {
  return Math.max(0, Math.round(ms / MS_PER_CHARACTER));
}

function axis(untilMs: number): string {
  let text = '';
  for (let ms = 0; ms <= untilMs; ms += TICK_MS) text = text.padEnd(column(ms)) + ms;
  return text;
}

/** `#` burns, `.` sleeps. */
export function gantt({ scenario, items }: Timeline): string[] {
  const untilMs = Math.max(lengthMs(scenario), ...items.map(({ finishMs }) => finishMs));
  const rows = items.map(({ name, steps }) => {
    const cells = new Array<string>(column(untilMs) + 1).fill(' ');
    for (const { kind, startMs, endMs } of steps) {
      cells.fill(kind === 'burn' ? '#' : '.', column(startMs), Math.max(column(endMs), column(startMs) + 1));
    }
    return `  ${name} ${cells.join('').trimEnd()}`;
  });
  return [...rows, `     ${axis(untilMs)} ms`];
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

function comparison({ scenario, items }: Timeline): string[] {
  const expected = expectedMs(scenario);
  const rows = items.map((item, i) => {
    const document = scenario.documentMs[i] as ItemTimes; // one per item
    const own = expected[i] as ItemTimes; // likewise
    const share = ((100 * offByMs(own, item)) / lengthMs(scenario)).toFixed(1);
    return `  ${item.name}   ${pair(document)}     ${expectedPair(own)} ${pair(item)}   ${share.padStart(5)} %`;
  });
  return ['       document x10      expected       measured      deviation', ...rows];
}

function verdict(timeline: Timeline, tries: number): string {
  const limit = `${TOLERANCE * 100} % of ${lengthMs(timeline.scenario)} ms`;
  const how = isWithin(timeline) ? `within ${limit}` : `MORE THAN ${limit}`;
  return `  largest deviation ${(100 * timeline.deviation).toFixed(1)} %: ${how}; tries: ${tries}`;
}

function command({ args, services }: Scenario): string {
  return `  kecho-pool ${[...args, ...services.map((service) => `--service ${service}`)].join(' ')}`;
}

/** Everything there is to say of a timeline; start and finish of each item in ms. */
export function report(timeline: Timeline, tries: number): string[] {
  const { scenario } = timeline;
  const note = scenario.expected === undefined ? [] : [`  expected here: ${scenario.expected.why}`];
  const head = [scenario.title, command(scenario), ''];
  return [...head, ...gantt(timeline), '', ...comparison(timeline), ...note, verdict(timeline, tries), ''];
}
