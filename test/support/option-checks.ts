/** Checks of accepted options, and of the line that refuses others. */
import { expect } from 'vitest';
import { type EffectiveOptions, OPTION_SPECS, UsageError } from '../../src/options/index.ts';
import { computeLimits } from '../../src/options/limits.ts';

const DESCRIPTORS = 20_000;

/** The UsageError that `call` throws. Rethrows any other error, and throws if `call` does not throw. */
export function usageError(call: () => unknown): UsageError {
  try {
    call();
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error('no UsageError was thrown');
}

/** The options are within their documented range, and the limits computed from them are valid or a UsageError. */
export function expectInRange(options: EffectiveOptions): void {
  for (const { key, kind, only } of OPTION_SPECS) {
    const value = options[key];
    if (value === undefined) continue; // computed from the descriptor limit
    if (only !== undefined && !only.includes(options.strategy)) continue;
    if (kind.type === 'integer') expectWhole(key, value, kind.min, kind.max);
    else if (kind.type === 'duration') expectWhole(key, value, kind.minMs, kind.maxMs);
    else if (kind.type === 'size') expectWhole(key, value, kind.minBytes, kind.maxBytes);
    else if (kind.type === 'choice') expect(kind.among, key).toContain(value);
    else if (kind.type === 'boolean') expect(value, key).toBeTypeOf('boolean');
    else if (kind.type === 'services') expect(Array.isArray(value) && value.length <= 64, key).toBe(true);
    else if (kind.type === 'module') expect(value, key).toMatch(/^\/[^\p{Cc}\p{Cf}\p{Cs}]+$/u);
    else expect(value, key).toMatch(/^[^\s\p{Cc}\p{Cf}\p{Cs}]+$/u);
  }
  try {
    computeLimits(options, DESCRIPTORS);
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
  }
}

function expectWhole(key: string, value: unknown, low: number, high: number): void {
  expect(Number.isInteger(value), `${key}: ${value}`).toBe(true);
  expect(value, key).toBeGreaterThanOrEqual(low);
  expect(value, key).toBeLessThanOrEqual(high);
}

/** One line without control characters, of reasonable length. */
export function expectOneLine(line: string): void {
  expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(line.length).toBeLessThan(1000);
}
