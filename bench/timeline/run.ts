/**
 * One timeline on a real server: a fresh server, rounds of three clients, the steps that the workers report.
 *
 * The clients connect one after the other, so that connection k has service (k - 1) mod 3, and send one request
 * each, in order, at one moment: time 0. An item starts with its first step and finishes when its client has
 * the echo. All times are of the system's monotonic clock, which the server's processes share.
 */
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { monotonicMs } from '../../src/sys/clock.ts';
import { connection } from '../../src/sys/self-connect.ts';
import { Child } from '../lab/children.ts';
import { expectedMs, ITEM_NAMES, type ItemTimes, lengthMs, offByMs, type Scenario } from './scenarios.ts';

const START_TIMEOUT_MS = 20_000;
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
  type: string;
  connection: number;
}

/** The server's program: as built, or from source when it has not been built. */
export function serverProgram(): string {
  const built = fileURLToPath(new URL('../../dist/src/bin.js', import.meta.url));
  return existsSync(built) ? built : fileURLToPath(new URL('../../src/bin.ts', import.meta.url));
}

/** Runs a scenario once. */
export async function runTimeline(scenario: Scenario, program = serverProgram()): Promise<Timeline> {
  const services = scenario.services.flatMap((service) => ['--service', service]);
  const logging = ['--log-level', 'trace', '--no-pretty'];
  const args = [program, '--port', '0', ...scenario.args, ...services, ...logging];
  const server = new Child(`server (${scenario.name})`, process.execPath, args);
  try {
    const port = await server.waitForOutput(listeningPort, START_TIMEOUT_MS);
    for (let round = 0; round < scenario.warmUps; round++) await runRound(server, scenario, port, round);
    const items = await runRound(server, scenario, port, scenario.warmUps);
    return { scenario, items, deviation: deviationOf(scenario, items) };
  } finally {
    await server.stop();
  }
}

function deviationOf(scenario: Scenario, items: readonly TimedItem[]): number {
  const offs = expectedMs(scenario).map((expected, i) => offByMs(expected, items[i] as TimedItem)); // one each
  return Math.max(...offs) / lengthMs(scenario);
}

/** Three clients, one request each. */
async function runRound(
  server: Child,
  scenario: Scenario,
  port: number,
  round: number,
): Promise<TimedItem[]> {
  const sockets: Socket[] = [];
  for (const _ of ITEM_NAMES) sockets.push(await connected(port));
  await pause(SETTLE_MS);
  const firstId = round * ITEM_NAMES.length + 1;
  const reported = server.waitForOutput((output) => stepsOf(output, scenario, firstId), ROUND_TIMEOUT_MS);
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

function logLines(output: string): Record<string, unknown>[] {
  const complete = output.slice(0, output.lastIndexOf('\n') + 1).split('\n');
  return complete.filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
}

function listeningPort(output: string): number | null {
  const line = logLines(output).find(({ msg }) => msg === 'listening');
  return typeof line?.port === 'number' ? line.port : null;
}

/** The steps of three connections by connection, once all have been reported. */
function stepsOf(output: string, scenario: Scenario, firstId: number): Step[][] | null {
  const lines = logLines(output).filter(({ type }) => type === 'step') as unknown as StepLine[];
  const byItem = ITEM_NAMES.map((_, i) => lines.filter(({ connection }) => connection === firstId + i));
  const complete = byItem.every((steps, i) => steps.length === stepCount(scenario.services[i] ?? ''));
  return complete ? byItem : null;
}

function stepCount(service: string): number {
  return service.split(',').filter((part) => part.includes(':')).length;
}
