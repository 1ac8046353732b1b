/**
 * `kecho-pool/handler`: what an operator's handler module may import. It runs in a worker thread.
 *
 * The module's copy of this file may be another than the workers' (dist instead of src, a linked package), so the
 * thread passes its hook through a registered symbol on globalThis.
 */

/** The connection that a request came from. */
export interface HandlerConnection {
  /** Its number in the order of acceptance, from 1; never reused. */
  readonly id: number;
  /** Requests received from it so far, including this one. */
  readonly requests: number;
}

/**
 * Runs before each echo, synchronously. `request` is a copy of the received bytes; for a function that declares no
 * parameters none is made, and it gets no arguments.
 */
export type Handler = (request: Uint8Array, connection: HandlerConnection) => void;

/** Runs a sleep as the thread's strategy does. */
export type Blocking = <T>(sleep: () => T) => T;

const HOOK = Symbol.for('kecho-pool.blocking');

/** For threads: `blocking` calls `hook` from now on. */
export function setBlockingHook(hook: Blocking): void {
  Object.assign(globalThis, { [HOOK]: hook });
}

/**
 * Runs `sleep`, which blocks the thread, and returns its result. Under cmwq another worker takes over the run slot
 * meanwhile. Under other strategies, and outside kecho-pool's threads, it only calls `sleep`.
 */
export function blocking<T>(sleep: () => T): T {
  const hook = (globalThis as { [HOOK]?: Blocking })[HOOK];
  return hook === undefined ? sleep() : hook(sleep);
}
