/**
 * The load of the soak test, in a separate process, so that the server's figures do not include it.
 *
 *     node bench/lab/soak/load-child.ts '{"port":..., "seed":..., "lanes":{...}}'
 *
 * Each lane opens one connection of its kind after another until it is told to stop. Commands are lines on standard
 * input, answered in lines of JSON:
 *
 *   hold     -> {"msg":"held","over":n}    no connection ends from now on; n have ended
 *   release                                connections may end again
 *   rest     -> {"msg":"resting"}          all connections end in order, and no new ones are opened
 *   resume                                 connections are opened again
 *   stop     -> {"msg":"done",...counts}   all connections end in order, then this process exits
 *
 * It also exits when standard input ends.
 */
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { seededRandom } from '../../random.ts';
import { BEHAVIOURS } from './behaviours.ts';
import { Conversation, ConversationError } from './conversation.ts';
import { Gate, Passage } from './gate.ts';
import { Ring } from './ring.ts';
import { KINDS, type Kind, type LoadCounts, type LoadPlan } from './types.ts';

/** Far beyond a wait in the queue of a busy server. */
const STALLED_AFTER_MS = 30_000;
const LOOK_EVERY_MS = 1_000;
/** The load stops after this many faults: more would teach nothing. */
const FAULTS_MAX = 1_000;
const DETAILS_MAX = 10;
/** After a failed connect, so that a lane does not spin when the server is gone. */
const RETRY_AFTER_MS = 20;

const plan = JSON.parse(process.argv[2] ?? '{}') as LoadPlan;
const counts: LoadCounts = {
  opened: 0,
  over: 0,
  completed: { echo: 0, churn: 0, halfClose: 0, reset: 0, slow: 0, silent: 0 },
  bytes: 0,
  lost: 0,
  wrong: 0,
  cutShort: 0,
  refused: 0,
  stalled: 0,
  portsTaken: 0,
  details: [],
};
const gate = new Gate();
const ring = new Ring(seededRandom(plan.seed));
/** Each lane's current connection. */
const current = new Map<number, Conversation>();
let stopping = false;
/** Held shut during a rest. */
const passage = new Passage();

function answer(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function faults(): number {
  return counts.lost + counts.wrong + counts.cutShort + counts.refused + counts.stalled;
}

async function countFault(kind: Kind, error: unknown): Promise<void> {
  if (!(error instanceof ConversationError)) throw error;
  counts[error.fault]++;
  if (error.fault === 'portsTaken') return;
  if (counts.details.length < DETAILS_MAX) counts.details.push(`${kind}: ${error.fault}: ${error.message}`);
  if (faults() >= FAULTS_MAX) stopping = true;
  if (error.fault === 'refused') await pause(RETRY_AFTER_MS);
}

async function lane(number: number, kind: Kind): Promise<void> {
  const random = seededRandom(plan.seed + 1 + number); // independent of the other lanes
  const open = () => {
    const conversation = new Conversation(plan.port, ring, ring.start(random), counts);
    current.set(number, conversation);
    return conversation;
  };
  while (!stopping) {
    try {
      await passage.pass(() =>
        BEHAVIOURS[kind]({ open, random, gate, stopping: () => stopping || passage.isShut }),
      );
      counts.completed[kind]++;
    } catch (error) {
      await countFault(kind, error);
    }
  }
  current.delete(number);
}

function failStalled(): void {
  const beforeMs = performance.now() - STALLED_AFTER_MS;
  for (const conversation of current.values()) {
    if (conversation.activeAtMs < beforeMs) conversation.fail('stalled', `idle for ${STALLED_AFTER_MS} ms`);
  }
}

function obey(command: string): void {
  if (command === 'hold') gate.hold(() => answer({ msg: 'held', over: counts.over }));
  else if (command === 'release') gate.release();
  else if (command === 'rest') passage.shut(() => answer({ msg: 'resting' }));
  else if (command === 'resume') passage.open();
  else if (command === 'stop') {
    stopping = true;
    gate.release();
    passage.open();
  }
}

createInterface({ input: process.stdin })
  .on('line', obey)
  .on('close', () => process.exit(0));
setInterval(failStalled, LOOK_EVERY_MS).unref();

const kinds = KINDS.flatMap((kind) => Array.from({ length: plan.lanes[kind] }, () => kind));
await Promise.all(kinds.map((kind, number) => lane(number, kind)));
answer({ msg: 'done', ...counts });
process.stdin.destroy();
