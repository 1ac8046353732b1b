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
import { ManagedProcess } from '../child-process.ts';
import { expectedMs, type ItemTimes, lengthMs, offByMs, type Scenario } from './scenarios.ts';

const START_TIMEOUT_MS = 20_000;
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

/** What the server has logged so far. */
class ServerLog {
  readonly listening = Promise.withResolvers<number>();
  private readonly steps: StepLine[] = [];
  private onStep: () => void = () => {};

  readonly take = (line: string): void => {
    if (!line.startsWith('{')) return;
    const entry = JSON.parse(line) as Record<string, unknown>;
    if (entry.msg === 'listening') this.listening.resolve(Number(entry.port));
    if (entry.type !== 'step') return;
    this.steps.push(entry as unknown as StepLine);
    this.onStep();
  };

  /** The steps of connections by connection, `firstId` and those after it, once all `counts` have been reported. */
  async reported(firstId: number, counts: readonly number[]): Promise<Step[][]> {
    const complete = Promise.withResolvers<Step[][]>();
    this.onStep = () => {
      const found = counts.map((_, i) => this.steps.filter(({ connection }) => connection === firstId + i));
      if (found.every((steps, i) => steps.length === counts[i])) complete.resolve(found);
    };
    this.onStep();
    return complete.promise;
  }
}

/** Runs a scenario once, on the server that this program is. */
export async function runTimeline(scenario: Scenario, program: string): Promise<Timeline> {
  const services = scenario.services.flatMap((service) => ['--service', service]);
  const logging = ['--log-level', 'trace', '--no-pretty'];
  const args = [program, '--port', '0', ...scenario.args, ...services, ...logging];
  const log = new ServerLog();
  const server = new ManagedProcess('server', process.execPath, args, log.take);
  try {
    const port = await server.unlessItEnds(log.listening.promise, 'listening', START_TIMEOUT_MS);
    const round = (number: number) => runRound(server, log, scenario, port, number);
    for (let i = 0; i < scenario.warmUps; i++) await round(i);
    const items = await round(scenario.warmUps);
    return { scenario, items, deviation: deviationOf(scenario, items) };
  } finally {
    await server.stop(false);
  }
}

function deviationOf(scenario: Scenario, items: readonly TimedItem[]): number {
  const offs = expectedMs(scenario).map((expected, i) => offByMs(expected, items[i] as TimedItem)); // one each
  return offs.length === 0 ? 0 : Math.max(...offs) / lengthMs(scenario);
}

/** A client for each item, one request each. */
async function runRound(
  server: ManagedProcess,
  log: ServerLog,
  { services, wholeConnections }: Scenario,
  port: number,
  round: number,
): Promise<TimedItem[]> {
  const steps = services.map((service) => parseService(service).steps);
  const timeoutMs = steps.flat().reduce((sum, { durationMs }) => sum + durationMs, ROUND_EXTRA_MS);
  const sockets: Socket[] = [];
  for (const _ of services) sockets.push(await connected(port));
  await pause(SETTLE_MS);
  const counts = steps.map(({ length }) => length);
  const reported = log.reported(round * services.length + 1, counts);
  const echoes = sockets.map((socket) => echoMoment(socket, wholeConnections, timeoutMs));
  const zeroMs = monotonicMs();
  for (const socket of sockets) socket.write('x');
  const all = Promise.all([reported, Promise.all(echoes)]);
  const [lines, finishes] = await server.unlessItEnds(all, 'done with a round', timeoutMs);
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
