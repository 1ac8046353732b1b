/**
 * Shared by the schemas: counts, a check that reports a mismatch in one line, and the published JSON Schema. Pure.
 */
import { z } from 'zod';

export const count = z.int().min(0).meta({ id: 'count' });

/** Maximum length of a reported path; its names may come from a foreign server or file. */
const PATH_LENGTH_MAX = 80;

/** The first mismatch of a value in one line, or null. Fields unknown to the schema are allowed. */
export function problemOf(schema: z.ZodType, value: unknown): string | null {
  const issue = schema.safeParse(value).error?.issues[0];
  if (issue === undefined) return null;
  const path = issue.path
    .map(String)
    .join('.')
    .replaceAll(/[^\w.]/g, '?')
    .slice(0, PATH_LENGTH_MAX);
  const message = issue.message.replace(/^Invalid input: /, '');
  return path === '' ? message : `${path}: ${message}`;
}

/** The JSON Schema (draft 2020-12) as file content. */
export function publishedSchema(schema: z.ZodType): string {
  return `${JSON.stringify(z.toJSONSchema(schema), null, 2)}\n`;
}
