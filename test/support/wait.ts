/**
 * Waiting in tests: for a condition, never for a duration. A wait that takes too long fails and names what it waited
 * for.
 */

/** Limit of a wait: ample even on a loaded machine. */
export const DEADLINE_MS = 60_000;
const POLL_MS = 5;

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function timeoutError(what: string | (() => string), timeoutMs: number): Error {
  return new Error(`timeout after ${timeoutMs} ms waiting for: ${typeof what === 'string' ? what : what()}`);
}

/**
 * Resolves with the condition's value once it holds, checked every few ms; rejects at the deadline, naming `what`.
 * What was waited for may be over at a second look: assert on the value.
 */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string | (() => string),
  timeoutMs = DEADLINE_MS,
): Promise<Exclude<T, false | null | undefined>> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value) return value as Exclude<T, false | null | undefined>; // truthy
    if (performance.now() > deadlineMs) throw timeoutError(what, timeoutMs);
    await pause(POLL_MS);
  }
}

/** Resolves with a figure once it was the same in ten successive readings, 20 ms apart. */
export async function untilSteady(figure: () => number | Promise<number>, what: string): Promise<number> {
  let last = Number.NaN;
  let unchanged = 0;
  await until(async () => {
    await pause(20);
    const now = await figure();
    unchanged = now === last ? unchanged + 1 : 0;
    last = now;
    return unchanged >= 10;
  }, `${what} to stop changing`);
  return last;
}

/** `promise`, or a rejection that names `what` at the deadline. */
export async function within<T>(
  promise: Promise<T>,
  what: string | (() => string),
  timeoutMs = DEADLINE_MS,
): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_, reject) => {
    // A test may have blocked the event loop: what has arrived meanwhile comes first.
    timer = setTimeout(() => setImmediate(() => reject(timeoutError(what, timeoutMs))), timeoutMs);
  });
  try {
    return await Promise.race([promise, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** Runs `job` for 0 .. count-1, at most `width` at a time. */
export async function inParallel(
  count: number,
  width: number,
  job: (i: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    while (next < count) await job(next++);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
