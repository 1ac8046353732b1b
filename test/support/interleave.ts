/**
 * Forces interleavings of code that synchronises through Atomics.
 *
 * `interrupt()` runs `run` repeatedly on fresh state, and calls `other` just before the 1st, 2nd, 3rd ... atomic
 * operation of `run`, until `run` has no further one. So it tries every point at which another thread could interrupt,
 * deterministically and on one thread. It finds races that need one interruption; `other` may itself be an
 * interrupted run.
 */
const OPERATIONS = ['load', 'store', 'add', 'sub', 'and', 'or', 'exchange', 'compareExchange'] as const;

/** Runs `body`, calling `before(n)` ahead of its n-th atomic operation, n from 0. Returns their number. */
export function withHook(before: (n: number) => void, body: () => void): number {
  const table = Atomics as unknown as Record<string, (...args: unknown[]) => unknown>;
  const originals = OPERATIONS.map((name) => [name, table[name]] as const);
  let n = 0;
  let inside = false;
  for (const [name, original] of originals) {
    table[name] = (...args: unknown[]) => {
      if (!inside) {
        inside = true; // the hook's operations do not count
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

/** See above. `scenario` creates fresh state; `check` runs after `run` and `other`. */
export function interrupt(
  scenario: () => { run: () => void; other: () => void; check: (cutAt: number) => void },
): number {
  for (let cutAt = 0; ; cutAt++) {
    const { run, other, check } = scenario();
    let interrupted = false;
    const steps = withHook((n) => {
      if (n !== cutAt) return;
      interrupted = true;
      other();
    }, run);
    if (!interrupted) other();
    check(cutAt);
    if (cutAt >= steps) return steps;
  }
}
