/**
 * Services: what a connection's handler does before each echo, in place of real work.
 *
 *   spec = "cpu-intensive" { "," step } | step { "," step }
 *   step = ( "burn" | "sleep" ) ":" time          time = 5ms, 0.5ms, 2s
 *
 * `burn` uses the processor for that long (CPU time of the thread, so that two burners on one core take twice
 * as long); `sleep` blocks the thread. Pure: text in, steps out.
 */
import type { ServiceSpec, ServiceStep } from '../memory/layout.ts';
import { parseTimeMs } from './units.ts';

/** Longer steps are typos. */
export const MAX_STEP_MS = 600_000;
export const MAX_STEPS = 32;

/** A spec that does not parse: `position` is the index of the first wrong character. */
export class ServiceSyntaxError extends Error {
  override readonly name = 'ServiceSyntaxError';
  readonly position: number;

  constructor(position: number, expected: string) {
    super(`at position ${position}: ${expected}`);
    this.position = position;
  }
}

const STEP_HELP = 'burn:<time> or sleep:<time>';

/** Throws ServiceSyntaxError. */
export function parseService(text: string): ServiceSpec {
  const spec: ServiceSpec = { cpuIntensive: false, steps: [] };
  const parts = text.split(',');
  let position = 0;
  for (const [i, part] of parts.entries()) {
    if (i === 0 && part === 'cpu-intensive') spec.cpuIntensive = true;
    else spec.steps.push(parseStep(part, position));
    position += part.length + 1;
  }
  if (spec.steps.length > MAX_STEPS) throw new ServiceSyntaxError(0, `at most ${MAX_STEPS} steps`);
  return spec;
}

function parseStep(part: string, position: number): ServiceStep {
  const colon = part.indexOf(':');
  const kind = colon < 0 ? part : part.slice(0, colon);
  if (kind !== 'burn' && kind !== 'sleep') {
    throw new ServiceSyntaxError(position, `${STEP_HELP}, or cpu-intensive in the first place`);
  }
  const timeAt = position + kind.length + 1;
  const durationMs = parseTimeMs(colon < 0 ? '' : part.slice(colon + 1));
  if (durationMs === null) throw new ServiceSyntaxError(timeAt, 'a time like 5ms, 0.5ms or 2s');
  if (durationMs > MAX_STEP_MS)
    throw new ServiceSyntaxError(timeAt, `a time of at most ${MAX_STEP_MS / 1000}s`);
  return { kind, durationMs };
}
