/**
 * What main and the endpoint's thread send each other.
 *
 * The thread asks, and main answers with what it knows at that time. So main computes nothing without a request, and at
 * most one answer of each kind is on its way. Messages and not shared memory, since a status has no fixed size, and a
 * message arrives whole.
 */
import type { SharedBuffers } from '../memory/layout.ts';
import type { MainStatus } from '../pool/shared-figures.ts';
import type { ServerStatus } from '../schema/status.ts';
import type { EndpointOptions } from './endpoint.ts';
import type { AdminThreads } from './series.ts';

/** An error as it survives a message: the clone of an Error has no code. */
export interface SentError {
  message: string;
  stack: string | undefined;
  code: string | undefined;
}

/** What main answers to the question for a status. */
export type Taken = { threads: AdminThreads; atMs: number } & (
  | { kind: 'failed'; error: SentError }
  /** From a source that is not an EchoServer. */
  | { kind: 'whole'; status: ServerStatus }
  /** `buffers`: the memory that has the rest; null = as in the last answer. */
  | { kind: 'main'; status: MainStatus; buffers: SharedBuffers | null }
);

/** Every message tells why the server is not ready, null when it is: so readiness is a second old at most when main blocks. */
export type ToThread = { reason: string | null } & (
  | { kind: 'ready' }
  | { kind: 'status'; taken: Taken }
  | { kind: 'ping' }
  /** Ends the thread in order; its watchers' last frame has this status. */
  | { kind: 'close'; taken: Taken }
);

export type FromThread =
  /** It accepts connections. */
  | { kind: 'up' }
  | { kind: 'pong' }
  | { kind: 'ask'; what: 'ready' | 'status' }
  | { kind: 'error'; error: SentError; what: string };

export interface ThreadData {
  /** The listening socket, which stays main's: the thread duplicates the descriptor. */
  fd: number;
  options: EndpointOptions;
  /** How long the thread waits for an answer before it uses the last one. */
  lateMs: number;
  /** Silence after which main counts as stuck. */
  stuckMs: number;
  reason: string | null;
  taken: Taken;
}

export function encodeError(error: unknown): SentError {
  const known: NodeJS.ErrnoException = error instanceof Error ? error : new Error(String(error));
  return { message: known.message, stack: known.stack, code: known.code };
}

export function decodeError({ message, stack, code }: SentError): Error {
  return Object.assign(new Error(message), { stack }, code === undefined ? {} : { code });
}
