/**
 * Forces interleavings of code that synchronises through Atomics.
 *
 * `interrupt(run, other)` runs `run` again and again on fresh state, and lets `other` happen in one go just
 * before the 1st, 2nd, 3rd ... atomic operation of `run`, until `run` has no further one. So every point at
 * which another thread could have cut in is tried, on one thread and without luck. It finds what needs one
 * foreign step between two of ours; `other` may itself be an interrupted run.
 */
const OPERATIONS = ['load', 'store', 'add', 'sub', 'exchange', 'compareExchange'] as const;

/** Runs `body` with `before(n)` called ahead of its n-th atomic operation, n from 0. Returns how many it had. */
export function withHook(before: (n: number) => void, body: () => void): number {
  const table = Atomics as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = OPERATIONS.map((name) => [name, table[name]] as const);
  let n = 0;
  let inside = false;
  for (const [name, original] of originals) {
    table[name] = (...args: unknown[]) => {
      if (!inside) {
        inside = true; // what the hook does is not counted as the body's
        try {
          before(n++);
        } finally {
          inside = false;
        }
      }
      return original?.(...args);
    };
  }
  try {
    body();
  } finally {
    for (const [name, original] of originals) if (original !== undefined) table[name] = original;
  }
  return n;
}

/** See above. `scenario` makes fresh state and says what runs, what cuts in, and what must hold in the end. */
export function interrupt(
  scenario: () => { run: () => void; other: () => void; check: (cutAt: number) => void },
): number {
  for (let cutAt = 0; ; cutAt++) {
    const { run, other, check } = scenario();
    let happened = false;
    const steps = withHook((n) => {
      if (n !== cutAt) return;
      happened = true;
      other();
    }, run);
    if (!happened) other();
    check(cutAt);
    if (cutAt >= steps) return steps;
  }
}
