/**
 * Client scripts: what one connection does from its connect to its end. Generated from a seed and an index, described
 * as text, counted by kind. Pure.
 *
 * No script waits for another one, or for bytes that it has not sent, so each ends with any server that echoes. A
 * blocked send reads meanwhile (connection.ts), so full buffers on both sides cause no deadlock.
 */
import { BASE_MAX, Random, STREAM_MAX_BYTES } from './random.ts';

export type Operation =
  /** Sends the next `length` bytes of the stream; `urgent` makes the last of them urgent (MSG_OOB). */
  | { do: 'send'; length: number; urgent: boolean }
  /** Waits for `length` more bytes of the echo, or for all that are outstanding. */
  | { do: 'read'; length: number }
  | { do: 'readAll' }
  /** Skips this many turns of the loop. */
  | { do: 'yield'; turns: number }
  | { do: 'pause'; ms: number }
  | { do: 'shutdownRead' }
  | { do: 'shutdownWrite' }
  /** Last: half-closes if still open, then expects the rest of the echo and the FIN. */
  | { do: 'toEnd' }
  /** Last: closes, whatever is outstanding; the kernel sends a FIN, or a reset if something is unread. */
  | { do: 'close' }
  /** Last: closes with a reset. */
  | { do: 'reset' };

export interface Script {
  seed: number;
  index: number;
  /** Where in the ring its stream begins. */
  base: number;
  /** Begins without waiting for the connection. */
  early: boolean;
  noDelay: boolean;
  /** SO_RCVBUF and SO_SNDBUF; 0 = kernel default. */
  receiveBuffer: number;
  sendBuffer: number;
  /** TCP_MAXSEG; 0 = kernel default. Small segments keep the kernel's buffers small. */
  segment: number;
  /** Maximum bytes read at a time. */
  piece: number;
  operations: readonly Operation[];
}

const BUFFER = 64 * 1024; // the server's
const BIG = 300_000;
/** With less, segments of 1460 bytes are dropped and resent after 200 ms each: some scripts took minutes. */
const TINY_WINDOW_MIN = 3000;
/** Limits the length of a turn in a script of big sends and tiny reads. */
const PIECES_MAX = 1500;

function sendLength(random: Random): number {
  const [low, high] = random.weighted<readonly [number, number]>([
    [24, [1, 1]],
    [80, [2, 64]],
    [50, [65, 2000]],
    [24, [2001, 20_000]],
    [10, [20_001, 2 * BUFFER]],
    [8, [BUFFER - 2, BUFFER + 2]],
    [4, [2 * BUFFER, BIG]],
  ]);
  return random.between(low, high);
}

function pauseOf(random: Random): Operation {
  return random.chance(60)
    ? { do: 'yield', turns: random.between(1, 5) }
    : { do: 'pause', ms: random.between(1, 5) };
}

function readOf(random: Random): Operation {
  return random.chance(50) ? { do: 'readAll' } : { do: 'read', length: sendLength(random) };
}

/** The operations between connect and end; they send at most `budget` bytes. */
function middle(random: Random, urgent: boolean, tiny: boolean, budget: number): Operation[] {
  const count = random.weighted([
    [6, 0],
    [20, 1],
    [40, random.between(2, 6)],
    [20, random.between(6, 16)],
  ]);
  const operations: Operation[] = [];
  let total = 0;
  let writeShut = false;
  for (let i = 0; i < count; i++) {
    const what = random.weighted([
      [50, 'send'],
      [8, 'urgent'],
      [24, 'read'],
      [16, 'pause'],
      [tiny ? 0 : 1, 'shutdownRead'], // with tiny windows a connection that must be polled takes many seconds
      [2, 'shutdownWrite'],
    ] as const);
    if (what === 'send' || what === 'urgent') {
      const length = what === 'urgent' && random.chance(60) ? 1 : sendLength(random);
      if (writeShut || total + length > budget) continue;
      total += length;
      operations.push({ do: 'send', length, urgent: urgent && what === 'urgent' });
    } else if (what === 'read') operations.push(readOf(random));
    else if (what === 'pause') operations.push(pauseOf(random));
    else operations.push({ do: what });
    if (what === 'shutdownWrite') writeShut = true;
  }
  return operations;
}

/** More than the kernel's buffers hold, sent before anything is read: the server has to keep some of it. */
function flood(random: Random): Operation[] {
  const length = random.between(BIG / 2, BIG);
  const count = Math.floor(random.between(BIG, STREAM_MAX_BYTES) / length);
  return Array.from({ length: count }, () => ({ do: 'send', length, urgent: false }));
}

function ending(random: Random, orderly: boolean): Operation {
  const end = random.weighted<Operation>([
    [70, { do: 'toEnd' }],
    [15, { do: 'reset' }],
    [15, { do: 'close' }],
  ]);
  return orderly ? { do: 'toEnd' } : end;
}

function lengthOf(operations: readonly Operation[]): number {
  return operations.reduce((sum, operation) => sum + (operation.do === 'send' ? operation.length : 0), 0);
}

type Window = Pick<Script, 'receiveBuffer' | 'sendBuffer' | 'segment' | 'piece'>;

function tinyWindow(random: Random): Window {
  return {
    receiveBuffer: random.between(TINY_WINDOW_MIN, 16_000),
    sendBuffer: random.chance(30) ? random.between(2000, 20_000) : 0,
    segment: random.chance(70) ? random.between(100, 1460) : 0,
    piece: random.between(1, 1500),
  };
}

function usualWindow(random: Random): Window {
  const piece = random.chance(80) ? BUFFER : random.between(1, 5000);
  return { receiveBuffer: 0, sendBuffer: 0, segment: 0, piece };
}

/**
 * Scripts per block. In every fourth block all scripts read to the end, so that the server's counters must agree to the
 * byte; in the others, data lost in resets leaves a margin.
 */
export const BLOCK = 1000;

/** Script `index` of `seed`; `urgent` only decides whether urgent data is sent as such. */
export function makeScript(seed: number, index: number, urgent: boolean): Script {
  const random = new Random(seed, index);
  const base = random.between(0, BASE_MAX);
  const tiny = random.chance(5);
  const first = tiny && random.chance(40) ? flood(random) : [];
  const orderly = Math.floor(index / BLOCK) % 4 === 1;
  const operations = [
    ...first,
    ...middle(random, urgent, tiny, STREAM_MAX_BYTES - lengthOf(first)),
    ending(random, orderly),
  ];
  const window = tiny ? tinyWindow(random) : usualWindow(random);
  return {
    seed,
    index,
    base,
    early: random.chance(60),
    noDelay: random.chance(85),
    ...window,
    piece: Math.max(window.piece, Math.ceil(lengthOf(operations) / PIECES_MAX)),
    operations,
  };
}

function describeOperation(operation: Operation): string {
  switch (operation.do) {
    case 'send':
      return `${operation.urgent ? 'urgent' : 'send'} ${operation.length}`;
    case 'read':
      return `read ${operation.length}`;
    case 'readAll':
      return 'read all';
    case 'yield':
      return `yield ${operation.turns}`;
    case 'pause':
      return `pause ${operation.ms}ms`;
    case 'shutdownRead':
      return 'shutdown(SHUT_RD)';
    case 'shutdownWrite':
      return 'shutdown(SHUT_WR)';
    case 'toEnd':
      return 'half-close and read to the FIN';
    default:
      return operation.do;
  }
}

/** On one line; operation `at` is marked. */
export function describeScript(script: Script, at = -1): string {
  const { early, noDelay, receiveBuffer, sendBuffer, segment, piece } = script;
  const settings = [
    early ? 'connect without waiting' : 'connect',
    ...(noDelay ? [] : ['Nagle']),
    ...(receiveBuffer === 0 ? [] : [`SO_RCVBUF ${receiveBuffer}`]),
    ...(sendBuffer === 0 ? [] : [`SO_SNDBUF ${sendBuffer}`]),
    ...(segment === 0 ? [] : [`TCP_MAXSEG ${segment}`]),
    `reads of at most ${piece}`,
  ];
  const operations = script.operations.map((operation, i) => {
    const text = describeOperation(operation);
    return i === at ? `>>> ${text} <<<` : text;
  });
  return `${settings.join(', ')}; ${operations.join('; ')}`;
}

/** The name under which an operation is counted. */
export function kindOf(operation: Operation): string {
  return operation.do === 'send' && operation.urgent ? 'urgent' : operation.do;
}
