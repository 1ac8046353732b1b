/**
 * Whether a value has a published form.
 */
import { expect } from 'vitest';
import type { z } from 'zod';
import { problemOf } from '../../src/schema/json.ts';

/** It has the form, and no field that the schema does not know: those are left out of what parse() returns. */
export function expectForm(schema: z.ZodType, value: unknown): void {
  expect(problemOf(schema, value)).toBeNull();
  expect(schema.parse(value)).toEqual(value);
}
