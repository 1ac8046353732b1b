/**
 * A process that only computes, for the experiment `background`.
 *
 *     node bench/compare/busy.ts
 *
 * It ends with its standard input, hence with its parent, and after LIFE_MS at the latest.
 */
/** Longer than any run. */
const LIFE_MS = 300_000;
/** Between two looks at standard input. */
const SLICE_MS = 20;

const endMs = performance.now() + LIFE_MS;

function compute(): void {
  const untilMs = performance.now() + SLICE_MS;
  while (performance.now() < untilMs);
  if (untilMs > endMs) process.exit(0);
  setImmediate(compute);
}

process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0));
process.stdin.resume();
process.stdout.write('ready\n');
compute();
