/**
 * What the connections of the load do, one function for each kind. A behaviour opens one connection, talks, and
 * resolves when it is closed, or rejects with a ConversationError. Sizes, pauses and moments come from its lane's own
 * random numbers.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Conversation } from './conversation.ts';
import type { Gate } from './gate.ts';
import type { Kind } from './types.ts';

export interface Stage {
  open: () => Conversation;
  /** In [0, 1). */
  random: () => number;
  gate: Gate;
  /** The load is stopping: current connections should end soon. */
  stopping: () => boolean;
}

/** Around one segment, one page and one server buffer, and some in between. */
const MESSAGE_BYTES = [1, 13, 64, 500, 1460, 4096, 20_000, 65_535, 65_536, 65_537, 200_000] as const;
const CHURN_BYTES = [1, 64, 64, 64, 1000] as const;
const ECHOES_MAX = 60;
const THINK_MS_MAX = 20;
const HALF_CLOSE_BYTES_MAX = 400_000;
const RESET_BYTES_MAX = 100_000;
const RESET_AFTER_MS_MAX = 25;
/** More than the socket buffers of both sides hold, so that the server has to keep some of it. */
const SLOW_BYTES_MIN = 2 << 20;
const SLOW_BYTES_MAX = 8 << 20;
const SLOW_MS_MAX = 1_200;
const SILENT_MS_MAX = 600;

function between(random: () => number, low: number, high: number): number {
  return Math.floor(low + random() * (high - low + 1));
}

function oneOf(random: () => number, values: readonly number[]): number {
  return values[Math.floor(random() * values.length)] as number; // random() is below 1
}

/** Ends in order, but not while a worker is being killed: see gate.ts. */
async function finish(conversation: Conversation, gate: Gate): Promise<void> {
  await gate.end(() => conversation.finish());
}

/** A standing connection: messages of different sizes with pauses. */
async function echo({ open, random, gate, stopping }: Stage): Promise<void> {
  const conversation = open();
  for (let n = between(random, 1, ECHOES_MAX); n > 0 && !stopping(); n--) {
    conversation.send(oneOf(random, MESSAGE_BYTES));
    await conversation.allEchoed();
    await pause(random() * THINK_MS_MAX);
  }
  await finish(conversation, gate);
}

/** Connect, echo, close. */
async function churn({ open, random, gate }: Stage): Promise<void> {
  const conversation = open();
  conversation.send(oneOf(random, CHURN_BYTES));
  await conversation.allEchoed();
  await finish(conversation, gate);
}

/** Sends everything and the FIN before it reads the echo. */
async function halfClose({ open, random, gate }: Stage): Promise<void> {
  await gate.whole(async () => {
    const conversation = open();
    conversation.send(between(random, 1, HALF_CLOSE_BYTES_MAX));
    await conversation.finish();
  });
}

/** A reset at a random moment: before the first byte, among the bytes, or after them. */
async function reset({ open, random, gate }: Stage): Promise<void> {
  await gate.whole(async () => {
    const conversation = open();
    const bytes = random() < 0.25 ? 0 : between(random, 1, RESET_BYTES_MAX);
    conversation.send(bytes);
    if (random() < 0.3) await conversation.allEchoed();
    else await pause(random() * RESET_AFTER_MS_MAX);
    await conversation.reset();
  });
}

/** Sends megabytes, does not read for a while, then reads and checks everything. */
async function slow({ open, random, gate }: Stage): Promise<void> {
  const conversation = open();
  conversation.stopReading();
  conversation.send(between(random, SLOW_BYTES_MIN, SLOW_BYTES_MAX));
  await pause(random() * SLOW_MS_MAX);
  conversation.resumeReading();
  await conversation.allEchoed();
  await finish(conversation, gate);
}

/** Never sends, and must receive nothing. */
async function silent({ open, random, gate }: Stage): Promise<void> {
  await gate.whole(async () => {
    const conversation = open();
    await pause(random() * SILENT_MS_MAX);
    await conversation.finish();
  });
}

export const BEHAVIOURS: Record<Kind, (stage: Stage) => Promise<void>> = {
  echo,
  churn,
  halfClose,
  reset,
  slow,
  silent,
};
