/**
 * One timeline on a real server: a fresh server, rounds of a few clients, the steps that the workers report.
 *
 * The clients connect one after the other, so that connection k of n has service (k - 1) mod n, and send one request
 * each, in order, at one moment: time 0. An item starts with its first step and finishes when its client has
 * the echo. All times are of the system's monotonic clock, which the server's processes share.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { parseService } from '../../src/options/service-spec.ts';
import { monotonicMs } from '../../src/sys/clock.ts';
import { connection } from '../../src/sys/self-connect.ts';
import { kechoPool } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { expectedMs, type ItemTimes, lengthMs, offByMs, type Scenario } from './scenarios.ts';

/** Of a round, besides all its steps one after another. */
const ROUND_EXTRA_MS = 10_000;
/** For connections to be accepted, workers to be made and to go idle again. */
const SETTLE_MS = 80;

export interface Step {
  kind: 'burn' | 'sleep';
  /** Worker id. */
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
  /** The largest deviation from what was expected, as a part of the whole length. */
  deviation: number;
}

interface StepLine extends Step {
  connection: number;
}

/** Runs a scenario once, on the server that this program is. */
export async function runTimeline(scenario: Scenario, program: string): Promise<Timeline> {
  const services = scenario.services.flatMap((service) => ['--service', service]);
  const command = kechoPool([...scenario.args, ...services, '--log-level', 'trace'], program);
  await using server = await ServerUnderTest.start('server', command);
  for (let round = 0; round < scenario.warmUps; round++) await runRound(server, scenario, round);
  const items = await runRound(server, scenario, scenario.warmUps);
  return { scenario, items, deviation: deviationOf(scenario, items) };
}

/** The steps of connections by connection, `firstId` and those after it, once all `counts` have been reported. */
function reportedSteps(
  server: ServerUnderTest,
  firstId: number,
  counts: readonly number[],
): Promise<Step[][]> {
  const found: Step[][] = counts.map(() => []);
  const complete = Promise.withResolvers<Step[][]>();
  const look = () => {
    if (found.every((steps, i) => steps.length === counts[i])) complete.resolve(found);
  };
  server.onEntry = (entry) => {
    if (entry.type !== 'step') return;
    const { connection: id, ...step } = entry as unknown as StepLine;
    found[id - firstId]?.push(step);
    look();
  };
  look(); // none may be due
  return complete.promise;
}

function deviationOf(scenario: Scenario, items: readonly TimedItem[]): number {
  const offs = expectedMs(scenario).map((expected, i) => offByMs(expected, items[i] as TimedItem)); // one each
  return offs.length === 0 ? 0 : Math.max(...offs) / lengthMs(scenario);
}

/** A client for each item, one request each. */
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
  return connection(connect({ port, host: '127.0.0.1', noDelay: true }));
}

/** When the echo has come back. */
async function echoMoment(socket: Socket, thenEnd: boolean, timeoutMs: number): Promise<number> {
  await once(socket, 'data', { signal: AbortSignal.timeout(timeoutMs) });
  const nowMs = monotonicMs();
  if (thenEnd) socket.end();
  return nowMs;
}
