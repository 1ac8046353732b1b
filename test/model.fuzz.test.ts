/**
 * Goal: whatever several clients do, in whatever order, each gets back exactly what it sent, in order, and then a FIN;
 * one that resets disturbs no other; and the server's counts are right.
 * Method: random programs of client operations from fast-check, run on real sockets and on a model: the bytes that each
 * connection is owed. A failure is shrunk and printed with its seed; FUZZ_SEED repeats it, FUZZ_RUNS sets the number of
 * programs.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { EchoServer, EchoServerOptions } from '../src/index.ts';
import { type Client, connectTo, expectBytes, pattern } from './support/client.ts';
import { startServer, untilActive } from './support/server.ts';
import { sized } from './support/size.ts';
import { until } from './support/wait.ts';

const MAX_CLIENTS = 4;
const SEED = process.env.FUZZ_SEED === undefined ? {} : { seed: Number(process.env.FUZZ_SEED) };
/** Limits the shrinking of a failure that costs a deadline each time. */
const TIME_LIMIT_MS = 40_000;

const MAX_LENGTH = 6_000_000;
const MAX_PATTERN_FROM = 1000;
const wholePattern = pattern(MAX_PATTERN_FROM + MAX_LENGTH);

/** Long messages are described, so that a printed counterexample stays short. */
type Message = { bytes: Uint8Array } | { patternFrom: number; length: number };
type Operation =
  | { do: 'connect'; first: Message | null }
  | { do: 'send'; who: number; message: Message }
  | { do: 'end' | 'reset' | 'wait' | 'pause'; who: number };

/** A client and what it is owed. */
interface Modelled {
  client: Client;
  /** Sent and not yet received back. */
  owed: Buffer[];
  halfClosed: boolean;
  reset: boolean;
}

function described(min: number, max: number) {
  return fc.record({ patternFrom: fc.nat(MAX_PATTERN_FROM), length: fc.integer({ min, max }) });
}

const who = fc.nat({ max: MAX_CLIENTS - 1 });
const message: fc.Arbitrary<Message> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }) }) },
  { weight: 1, arbitrary: described(1, 400_000) },
  // More than the kernel buffers for a peer that does not read, so that the server has to keep some of it.
  { weight: 1, arbitrary: described(4_000_000, MAX_LENGTH) },
);
const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('connect' as const), first: fc.option(message) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant('send' as const), who, message }) },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constantFrom('end', 'reset', 'wait', 'wait', 'pause'), who }),
  },
);

const small: Message = { bytes: Uint8Array.of(1) };
/** Programs that once failed: a reset right after a FIN that libuv has not yet passed to the kernel. */
const FAILED: Operation[][] = [
  [
    { do: 'connect', first: null },
    { do: 'pause', who: 0 },
    { do: 'send', who: 0, message: { patternFrom: 0, length: 5_500_000 } },
    ...Array.from({ length: 3 }, (): Operation => ({ do: 'connect', first: small })),
    ...[1, 2, 3].map((who): Operation => ({ do: 'wait', who })),
    { do: 'end', who: 0 },
    { do: 'reset', who: 0 },
  ],
];

function bytesOf(message: Message): Buffer {
  if ('bytes' in message) return Buffer.from(message.bytes);
  return wholePattern.subarray(message.patternFrom, message.patternFrom + message.length);
}

/** Reads everything owed, and compares it. */
async function settle(modelled: Modelled): Promise<void> {
  modelled.client.socket.resume();
  const owed = Buffer.concat(modelled.owed.splice(0));
  expectBytes(await modelled.client.readExactly(owed.length), owed);
}

async function connectModelled(port: number, first: Message | null): Promise<Modelled> {
  const owed = first === null ? [] : [bytesOf(first)];
  const client = await connectTo(port, owed[0] === undefined ? {} : { first: owed[0] });
  return { client, owed, halfClosed: false, reset: false };
}

async function perform(modelled: Modelled, operation: Operation): Promise<void> {
  const { client, owed } = modelled;
  if (operation.do === 'send' && !modelled.halfClosed) {
    const bytes = bytesOf(operation.message);
    owed.push(bytes);
    client.send(bytes);
  } else if (operation.do === 'end') {
    modelled.halfClosed = true;
    client.end();
  } else if (operation.do === 'reset') {
    modelled.reset = true;
    client.reset();
  } else if (operation.do === 'pause') {
    client.socket.pause();
  } else if (operation.do === 'wait') {
    await settle(modelled);
  }
}

/** Runs a program and adds each client that it connects to `all`. Skips operations without an open client. */
async function run(port: number, program: readonly Operation[], all: Modelled[]): Promise<void> {
  for (const operation of program) {
    const open = all.filter((modelled) => !modelled.reset);
    if (operation.do === 'connect') {
      if (open.length < MAX_CLIENTS) all.push(await connectModelled(port, operation.first));
      continue;
    }
    const modelled = open[operation.who % Math.max(1, open.length)];
    if (modelled !== undefined) await perform(modelled, operation);
  }
}

/** Ends the remaining clients: each gets everything owed, then the FIN. */
async function finish(all: readonly Modelled[]): Promise<void> {
  for (const modelled of all.filter(({ reset }) => !reset)) {
    if (!modelled.halfClosed) modelled.client.end();
    await settle(modelled);
    expectBytes(await modelled.client.readToEnd(), '');
    await modelled.client.untilClosed();
    expect(modelled.client.errorCode).toBeNull();
  }
}

/** Also waits for connections that were reset in the backlog: the server still accepts and closes them. */
async function untilAllOver(server: EchoServer, accepted: number): Promise<void> {
  await until(() => server.stats().connections.accepted === accepted, `${accepted} accepted connections`);
  await untilActive(server, 0);
}

async function check(server: EchoServer, port: number, program: readonly Operation[]): Promise<void> {
  const before = server.stats().connections;
  const all: Modelled[] = [];
  try {
    await run(port, program, all);
    await finish(all);
  } finally {
    for (const { client } of all) client.socket.destroy(); // they would disturb the next program
    await untilAllOver(server, before.accepted + all.length);
  }
  const { closed } = server.stats().connections;
  const resets = all.filter(({ reset }) => reset).length;
  const eof = closed.eof - before.closed.eof;
  const error = closed.error - before.closed.error;
  expect(eof + error).toBe(all.length);
  expect(error).toBeLessThanOrEqual(resets);
  expect(server.stats().spills.inUse).toBe(0);
}

// Fewer for kthread: a thread, some 30 ms, for each connection.
describe.each<{ options: EchoServerOptions; fullRuns: number }>([
  { options: { strategy: 'kthread', maxWorkers: MAX_CLIENTS }, fullRuns: 25 },
  { options: { strategy: 'workqueue', workers: MAX_CLIENTS }, fullRuns: 150 },
  { options: { strategy: 'cmwq', cpus: 2 }, fullRuns: 150 },
])('$options.strategy', ({ options, fullRuns }) => {
  const numRuns = Number(process.env.FUZZ_RUNS ?? sized(fullRuns));

  it(`serves ${numRuns} random programs as the model says`, { timeout: 180_000 }, async () => {
    const { server, port } = await startServer(options);
    const program = fc.array(operation, { minLength: 1, maxLength: 30, size: 'max' });
    await fc.assert(
      fc.asyncProperty(program, (operations) => check(server, port, operations)),
      {
        numRuns,
        examples: FAILED.map((operations) => [operations]),
        interruptAfterTimeLimit: TIME_LIMIT_MS,
        ...SEED,
      },
    );
  });
});
