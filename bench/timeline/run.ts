/**
 * One timeline: a fresh server, rounds of a few clients, and the steps that the workers report.
 *
 * The clients connect one after another, so that connection k of n gets service (k - 1) mod n, then send one request
 * each, in order, at time 0. An item starts with its first step and finishes when its client has the echo. Times are
 * from the system's monotonic clock, which all processes share.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { parseService } from '../../src/options/service-spec.ts';
import { monotonicMs } from '../../src/sys/clock.ts';
import { LOOPBACK } from '../../src/sys/loopback.ts';
import { connection } from '../../src/sys/self-connect.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { expectedMs, type ItemTimes, lengthMs, offByMs, type Scenario } from './scenarios.ts';

/** Timeout of a round, in addition to the sum of its steps. */
const ROUND_EXTRA_MS = 10_000;
/** Time to accept the connections and to create workers that become idle. */
const SETTLE_MS = 80;

export interface Step {
  kind: 'burn' | 'sleep';
  worker: number;
  startMs: number;
  endMs: number;
}

export interface TimedItem extends ItemTimes {
  name: string;
  steps: Step[];
}

export interface Timeline {
  scenario: Scenario;
  items: TimedItem[];
  /** The time drawn: until the end of the last item, and of the document's. */
  untilMs: number;
  /** The largest deviation from the expected times, as a fraction of the whole length. */
  deviation: number;
}

interface StepLine extends Step {
  connection: number;
}

/** Runs a scenario once; `program` is the server's entry file. */
export async function runTimeline(scenario: Scenario, program: string): Promise<Timeline> {
  const services = scenario.services.flatMap((service) => ['--service', service]);
  const command = kechoPool([...scenario.args, ...services, '--log-level', 'trace'], program);
  await using server = await ServerUnderTest.start('server', command);
  for (let round = 0; round < scenario.warmUps; round++) await runRound(server, scenario, round);
  const items = await runRound(server, scenario, scenario.warmUps);
  const untilMs = Math.max(lengthMs(scenario), ...items.map(({ finishMs }) => finishMs));
  return { scenario, items, untilMs, deviation: deviationOf(scenario, items) };
}

/** The steps of each connection from `firstId` on, once `counts[i]` steps of each have been logged. */
function reportedSteps(
  server: ServerUnderTest,
  firstId: number,
  counts: readonly number[],
): Promise<Step[][]> {
  const found: Step[][] = counts.map(() => []);
  const complete = Promise.withResolvers<Step[][]>();
  const checkComplete = () => {
    if (found.every((steps, i) => steps.length === counts[i])) complete.resolve(found);
  };
  server.onEntry = (entry) => {
    if (entry.type !== 'step') return;
    const { connection: id, ...step } = entry as unknown as StepLine;
    found[id - firstId]?.push(step);
    checkComplete();
  };
  checkComplete(); // all counts may be 0
  return complete.promise;
}

function deviationOf(scenario: Scenario, items: readonly TimedItem[]): number {
  const deviationsMs = expectedMs(scenario).map((expected, i) => offByMs(expected, items[i] as TimedItem)); // one each
  return deviationsMs.length === 0 ? 0 : Math.max(...deviationsMs) / lengthMs(scenario);
}

/** One client and one request per item. */
async function runRound(
  server: ServerUnderTest,
  { services, wholeConnections }: Scenario,
  round: number,
): Promise<TimedItem[]> {
  const steps = services.map((service) => parseService(service).steps);
  const timeoutMs = steps.flat().reduce((sum, { durationMs }) => sum + durationMs, ROUND_EXTRA_MS);
  const sockets: Socket[] = [];
  for (const _ of services) sockets.push(await connected(server.port));
  await pause(SETTLE_MS);
  const counts = steps.map(({ length }) => length);
  const reported = reportedSteps(server, round * services.length + 1, counts);
  const echoes = sockets.map((socket) => echoMoment(socket, wholeConnections, timeoutMs));
  const zeroMs = monotonicMs();
  for (const socket of sockets) socket.write('x');
  const all = Promise.all([reported, Promise.all(echoes)]);
  const [lines, finishes] = await server.process.unlessItEnds(all, 'done with a round', timeoutMs);
  for (const socket of sockets) socket.destroy();
  await pause(SETTLE_MS);
  return lines.map((each, i) => timedItem(`w${i}`, each, finishes[i] as number, zeroMs)); // one each
}

function timedItem(name: string, steps: readonly Step[], finishMs: number, zeroMs: number): TimedItem {
  const relative = steps.map(({ kind, worker, startMs, endMs }) => {
    return { kind, worker, startMs: startMs - zeroMs, endMs: endMs - zeroMs };
  });
  return { name, startMs: relative[0]?.startMs ?? Number.NaN, finishMs: finishMs - zeroMs, steps: relative };
}

async function connected(port: number): Promise<Socket> {
  return connection(connect({ port, host: LOOPBACK, noDelay: true }));
}

/** The arrival time of the echo. */
async function echoMoment(socket: Socket, thenEnd: boolean, timeoutMs: number): Promise<number> {
  await once(socket, 'data', { signal: AbortSignal.timeout(timeoutMs) });
  const nowMs = monotonicMs();
  if (thenEnd) socket.end();
  return nowMs;
}
