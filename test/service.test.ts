/**
 * Goal: a service spec yields its steps, and a wrong one is refused with the position of the first mistake.
 * Method: text in, steps or an error out.
 */
import { describe, expect, it } from 'vitest';
import { MAX_STEP_MS, MAX_STEPS, parseService, ServiceSyntaxError } from '../src/options/service-spec.ts';

function mistake(text: string): ServiceSyntaxError {
  try {
    parseService(text);
  } catch (error) {
    if (error instanceof ServiceSyntaxError) return error;
    throw error;
  }
  throw new Error(`no mistake in ${text}`);
}

describe('a service spec', () => {
  it('lists steps, optionally marked CPU-intensive', () => {
    expect(parseService('burn:5ms,sleep:0.5ms,burn:2s')).toEqual({
      cpuIntensive: false,
      steps: [
        { kind: 'burn', durationMs: 5 },
        { kind: 'sleep', durationMs: 0.5 },
        { kind: 'burn', durationMs: 2000 },
      ],
    });
    expect(parseService('cpu-intensive,burn:1ms').cpuIntensive).toBe(true);
    expect(parseService('cpu-intensive').steps).toEqual([]);
  });

  it.each([
    ['', 0, 'burn:<time>'],
    ['nap:5ms', 0, 'burn:<time>'],
    ['burn:5ms,nap:5ms', 9, 'burn:<time>'],
    ['burn:5ms,cpu-intensive', 9, 'as the first item'],
    ['burn:5ms,,burn:5ms', 9, 'burn:<time>'],
    ['burn', 5, 'a time like'],
    ['burn:', 5, 'a time like'],
    ['burn:5', 5, 'a time like'],
    ['burn:-5ms', 5, 'a time like'],
    ['burn:5ms,sleep:1e3ms', 15, 'a time like'],
    ['sleep:601s', 6, 'at most 600s'],
  ])('refuses %j at position %i', (text, position, expected) => {
    const error = mistake(text);
    expect(error.position).toBe(position);
    expect(error.message).toMatch(new RegExp(`^at position ${position}: `));
    expect(error.message).toContain(expected);
  });

  it('accepts the longest time and the maximum number of steps', () => {
    expect(parseService(`sleep:${MAX_STEP_MS}ms`).steps[0]?.durationMs).toBe(MAX_STEP_MS);
    const steps = (count: number) => new Array(count).fill('burn:1ms').join(',');
    expect(parseService(steps(MAX_STEPS)).steps).toHaveLength(MAX_STEPS);
    expect(mistake(steps(MAX_STEPS + 1)).message).toContain(`at most ${MAX_STEPS} steps`);
  });
});
