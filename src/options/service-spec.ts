/**
 * Parses service specs: the emulated work of a handler before each echo.
 *
 *   spec = "cpu-intensive" { "," step } | step { "," step }
 *   step = ( "burn" | "sleep" ) ":" time          time = 5ms, 0.5ms, 2s
 *
 * `burn` uses that much CPU time of the thread, so two burners on one core take twice as long; `sleep` blocks the
 * thread. Pure.
 */
import type { ServiceSpec, ServiceStep } from '../memory/layout.ts';
import { parseTimeMs } from './units.ts';

/** A longer step is taken for a typo. */
export const MAX_STEP_MS = 600_000;
export const MAX_STEPS = 32;

/** A syntax error in a spec; `position` is the index of the first wrong character. */
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
    throw new ServiceSyntaxError(position, `${STEP_HELP}, or cpu-intensive as the first item`);
  }
  const timeAt = position + kind.length + 1;
  const durationMs = parseTimeMs(colon < 0 ? '' : part.slice(colon + 1));
  if (durationMs === null) throw new ServiceSyntaxError(timeAt, 'a time like 5ms, 0.5ms or 2s');
  if (durationMs > MAX_STEP_MS)
    throw new ServiceSyntaxError(timeAt, `a time of at most ${MAX_STEP_MS / 1000}s`);
  return { kind, durationMs };
}
