/**
 * What the schemas share: counts, the check that says in one line what is wrong, and the JSON Schema that is published.
 * Pure.
 */
import { z } from 'zod';

/** A whole number of something. */
export const count = z.int().min(0).meta({ id: 'count' });

/** Characters of a path that are shown; names in it may have been chosen by a foreign server or file. */
const PATH_LENGTH_MAX = 80;

/** What is wrong with a value, in one line; null when it has the form. Fields that the schema does not know are no fault. */
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

/** The JSON Schema (draft 2020-12) as the text of a file. */
export function publishedSchema(schema: z.ZodType): string {
  return `${JSON.stringify(z.toJSONSchema(schema), null, 2)}\n`;
}
