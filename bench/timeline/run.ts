/**
 * One timeline on a real server: a fresh server, rounds of three clients, the steps that the workers report.
 *
 * The clients connect one after the other, so that connection k has service (k - 1) mod 3, and send one request
 * each, in order, at one moment: time 0. An item starts with its first step and finishes when its client has
 * the echo. All times are of the system's monotonic clock, which the server's processes share.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { monotonicMs } from '../../src/sys/clock.ts';
import { connection } from '../../src/sys/self-connect.ts';
import { kechoPool, serverEntry } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';
import { expectedMs, ITEM_NAMES, type ItemTimes, lengthMs, offByMs, type Scenario } from './scenarios.ts';

const ROUND_TIMEOUT_MS = 10_000;
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

/** Runs a scenario once. */
export async function runTimeline(scenario: Scenario, program = serverEntry()): Promise<Timeline> {
  const services = scenario.services.flatMap((service) => ['--service', service]);
  const command = kechoPool([...scenario.args, ...services, '--log-level', 'trace'], program);
  await using server = await ServerUnderTest.start(`server (${scenario.name})`, command);
  for (let round = 0; round < scenario.warmUps; round++) await runRound(server, scenario, round);
  const items = await runRound(server, scenario, scenario.warmUps);
  return { scenario, items, deviation: deviationOf(scenario, items) };
}

function deviationOf(scenario: Scenario, items: readonly TimedItem[]): number {
  const offs = expectedMs(scenario).map((expected, i) => offByMs(expected, items[i] as TimedItem)); // one each
  return Math.max(...offs) / lengthMs(scenario);
}

/** Three clients, one request each. */
async function runRound(server: ServerUnderTest, scenario: Scenario, round: number): Promise<TimedItem[]> {
  const sockets: Socket[] = [];
  for (const _ of ITEM_NAMES) sockets.push(await connected(server.port));
  await pause(SETTLE_MS);
  const reported = reportedSteps(server, scenario, round * ITEM_NAMES.length + 1);
  const echoes = sockets.map((socket) => echoMoment(socket, scenario.wholeConnections));
  const zeroMs = monotonicMs();
  for (const socket of sockets) socket.write('x');
  const [steps, finishes] = await Promise.all([reported, Promise.all(echoes)]);
  for (const socket of sockets) socket.destroy();
  await pause(SETTLE_MS);
  return ITEM_NAMES.map((name, i) => timedItem(name, steps[i] ?? [], finishes[i] as number, zeroMs));
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
async function echoMoment(socket: Socket, thenEnd: boolean): Promise<number> {
  await once(socket, 'data', { signal: AbortSignal.timeout(ROUND_TIMEOUT_MS) });
  const nowMs = monotonicMs();
  if (thenEnd) socket.end();
  return nowMs;
}

/** The steps of three connections by connection, once all have been reported. */
function reportedSteps(server: ServerUnderTest, scenario: Scenario, firstId: number): Promise<Step[][]> {
  const byItem: Step[][] = ITEM_NAMES.map(() => []);
  const complete = Promise.withResolvers<Step[][]>();
  server.onEntry = (entry) => {
    if (entry.type !== 'step') return;
    const { connection: id, ...step } = entry as unknown as StepLine;
    byItem[id - firstId]?.push(step);
    const isComplete = byItem.every((steps, i) => steps.length === stepCount(scenario.services[i] ?? ''));
    if (isComplete) complete.resolve(byItem);
  };
  return server.process.unlessItEnds(complete.promise, 'done with its steps', ROUND_TIMEOUT_MS);
}

function stepCount(service: string): number {
  return service.split(',').filter((part) => part.includes(':')).length;
}
