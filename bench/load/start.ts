/**
 * Starts the load generator (main.ts) as a child process.
 */
import { join } from 'node:path';
import { ChildProcess } from '../child-process.ts';
import { EXTENSION } from '../programs.ts';

export const GENERATOR = join(import.meta.dirname, `main${EXTENSION}`);

/** `true` is a flag without a value, `false` is none. The child's result is a LoadResult. */
export function startLoad(
  flags: Readonly<Record<string, string | number | boolean>>,
  onLine?: (line: string) => void,
): ChildProcess {
  const args = Object.entries(flags).flatMap(([name, value]) =>
    typeof value === 'boolean' ? (value ? [`--${name}`] : []) : [`--${name}`, String(value)],
  );
  return new ChildProcess('load generator', process.execPath, [GENERATOR, ...args], onLine);
}
