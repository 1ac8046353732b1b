/**
 * Parses the option `handler`: the file of a module, and after the last `#` the name of its export. Pure, except that
 * the working directory makes a relative path absolute.
 */
import { resolve } from 'node:path';
import type { HandlerSpec } from '../memory/layout.ts';

/** The part after a `#` that is not an identifier belongs to the path. */
const EXPORT = /#([\p{ID_Start}$_][\p{ID_Continue}$]*)$/u;

export const HANDLER_ALLOWED =
  'the path of a module like ./work.ts, or of one and an export like ./work.js#name';

export function isHandler(text: string): boolean {
  return /^[^\p{Cc}\p{Cf}\p{Cs}]{1,4096}$/u.test(text) && text.replace(EXPORT, '').trim() !== '';
}

export function parseHandler(text: string): HandlerSpec {
  const exportName = EXPORT.exec(text)?.[1] ?? 'default';
  return { path: text.replace(EXPORT, ''), exportName };
}

/** The same with an absolute path. */
export function absoluteHandler(text: string): string {
  const name = EXPORT.exec(text)?.[0] ?? '';
  return `${resolve(text.replace(EXPORT, ''))}${name}`;
}
