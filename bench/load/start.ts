/**
 * Starts the load generator (main.ts), a process of its own.
 */
import { join } from 'node:path';
import { ChildProcess } from '../child-process.ts';
import { EXTENSION } from '../programs.ts';

export const GENERATOR = join(import.meta.dirname, `main${EXTENSION}`);

/** With these flags; `true` stands for one without a value. Its result is a LoadResult. */
export function startLoad(flags: Readonly<Record<string, string | number | true>>): ChildProcess {
  const args = Object.entries(flags).flatMap(([name, value]) =>
    value === true ? [`--${name}`] : [`--${name}`, String(value)],
  );
  return new ChildProcess('load generator', process.execPath, [GENERATOR, ...args]);
}
