/**
 * `kecho-pool timeline`: timelines on the real server, as a Gantt chart of burning and sleeping items. For the kernel
 * document's scenarios, scaled by ten, it also compares the times with the document's.
 *
 * A scenario with too large a deviation is repeated, because the machine may have been busy.
 */
import { availableParallelism, loadavg } from 'node:os';
import { STDOUT } from '../../src/options/values.ts';
import { exitOnStopSignal } from '../child-process.ts';
import { outputTo } from '../flags.ts';
import { serverEntry } from '../programs.ts';
import { runTimeline, type Timeline } from './run.ts';
import type { Scenario } from './scenarios.ts';
import { toSvg } from './svg.ts';
import { isWithin, report } from './text.ts';

const TRIES = 3;

export interface TimelineOptions {
  scenarios: readonly Scenario[];
  /** A file, STDOUT, or absent. */
  svg: string | undefined;
}

interface Tried {
  timeline: Timeline;
  tries: number;
}

/** The first timeline within the tolerance, otherwise the best of TRIES. */
async function tryScenario(scenario: Scenario, program: string): Promise<Tried> {
  let best: Timeline | null = null;
  let tries = 0;
  do {
    const timeline = await runTimeline(scenario, program);
    tries++;
    if (best === null || timeline.deviation < best.deviation) best = timeline;
  } while (!isWithin(best) && tries < TRIES);
  return { timeline: best, tries };
}

/** On one time axis, so that they can be compared. */
function aligned(all: readonly Tried[]): Tried[] {
  const untilMs = Math.max(...all.map(({ timeline }) => timeline.untilMs));
  return all.map(({ timeline, tries }) => ({ timeline: { ...timeline, untilMs }, tries }));
}

function reportLoad(): void {
  const [load = 0] = loadavg();
  const where = `load average ${load.toFixed(0)} on ${availableParallelism()} processors`;
  process.stderr.write(`kecho-pool timeline: a busy machine stretches the bars: ${where}\n`);
}

/** Returns the exit code: 1 when a scenario missed the tolerance in every try. */
export async function runTimelines({ scenarios, svg }: TimelineOptions): Promise<number> {
  const onStdout = svg === STDOUT;
  const write = svg === undefined ? null : outputTo('--svg', svg);
  const notes: string[] = [];
  const program = serverEntry(notes);
  for (const note of notes) process.stderr.write(`kecho-pool timeline: ${note}\n`);
  const print = (text: string) => (onStdout ? undefined : process.stdout.write(text));
  exitOnStopSignal();
  print('w0, w1, ...: requests; # burns, . sleeps; times in ms since they were sent\n\n');
  const putReport = ({ timeline, tries }: Tried) => print(`${report(timeline, tries).join('\n')}\n`);
  let all: Tried[] = [];
  for (const scenario of scenarios) {
    const tried = await tryScenario(scenario, program);
    all.push(tried);
    if (scenario.documentMs !== undefined) putReport(tried);
  }
  if (scenarios.every(({ documentMs }) => documentMs === undefined)) {
    all = aligned(all);
    all.forEach(putReport);
  }
  const timelines = all.map(({ timeline }) => timeline);
  write?.(toSvg(timelines));
  if (svg !== undefined) print(`written: ${svg}\n`);
  if (timelines.every(isWithin)) return 0;
  reportLoad();
  return 1;
}
