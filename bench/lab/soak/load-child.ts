/**
 * The load of the soak test. A process of its own, so that the server's figures are the server's alone.
 *
 *     node bench/lab/soak/load-child.ts '{"port":..., "seed":..., "lanes":{...}}'
 *
 * Each lane has one connection at a time, of its kind, one after the other, until it is told to end. Orders come
 * on standard input, a line each, and are answered in lines of JSON:
 *
 *   hold     -> {"msg":"held","over":n}    no connection ends from now on; n are over
 *   release                                they end again
 *   stop     -> {"msg":"done",...counts}   all connections end, in order, and then this process
 *
 * When standard input ends, so does this process.
 */
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { seededRandom } from '../../random.ts';
import { BEHAVIOURS } from './behaviours.ts';
import { Conversation, ConversationError } from './conversation.ts';
import { Gate } from './gate.ts';
import { Ring } from './ring.ts';
import { KINDS, type Kind, type LoadCounts, type LoadPlan } from './types.ts';

/** No answer for so long is none: far beyond a wait in the queue of a busy server. */
const STALLED_AFTER_MS = 30_000;
const LOOK_EVERY_MS = 1_000;
/** After that many faults there is nothing more to learn. */
const FAULTS_MAX = 1_000;
const DETAILS_MAX = 10;
/** After a failed connect, so that a server that is gone is not asked in a loop. */
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
/** The connection that each lane has now. */
const current = new Map<number, Conversation>();
let stopping = false;

function answer(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function faults(): number {
  return counts.lost + counts.wrong + counts.cutShort + counts.refused + counts.stalled;
}

async function failed(kind: Kind, error: unknown): Promise<void> {
  if (!(error instanceof ConversationError)) throw error;
  counts[error.fault]++;
  if (error.fault === 'portsTaken') return;
  if (counts.details.length < DETAILS_MAX) counts.details.push(`${kind}: ${error.fault}: ${error.message}`);
  if (faults() >= FAULTS_MAX) stopping = true;
  if (error.fault === 'refused') await pause(RETRY_AFTER_MS);
}

async function lane(number: number, kind: Kind): Promise<void> {
  const random = seededRandom(plan.seed + 1 + number); // its own numbers, whatever the other lanes do
  const open = () => {
    const conversation = new Conversation(plan.port, ring, ring.start(random), counts);
    current.set(number, conversation);
    return conversation;
  };
  while (!stopping) {
    try {
      await BEHAVIOURS[kind]({ open, random, gate, stopping: () => stopping });
      counts.completed[kind]++;
    } catch (error) {
      await failed(kind, error);
    }
  }
  current.delete(number);
}

function lookForStalled(): void {
  const beforeMs = performance.now() - STALLED_AFTER_MS;
  for (const conversation of current.values()) {
    if (conversation.sinceMs < beforeMs) conversation.fail('stalled', `nothing for ${STALLED_AFTER_MS} ms`);
  }
}

function obey(order: string): void {
  if (order === 'hold') gate.hold(() => answer({ msg: 'held', over: counts.over }));
  else if (order === 'release') gate.release();
  else if (order === 'stop') {
    stopping = true;
    gate.release();
  }
}

createInterface({ input: process.stdin })
  .on('line', obey)
  .on('close', () => process.exit(0));
setInterval(lookForStalled, LOOK_EVERY_MS).unref();

const kinds = KINDS.flatMap((kind) => Array.from({ length: plan.lanes[kind] }, () => kind));
await Promise.all(kinds.map((kind, number) => lane(number, kind)));
answer({ msg: 'done', ...counts });
process.stdin.destroy();
