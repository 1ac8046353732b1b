/**
 * The options that a command line stands for, without running the command.
 */
import type { Command } from 'commander';

/** Throws what the command would complain about. */
export function parsed<T>(
  commandFor: (run: (options: T) => Promise<number>) => Command,
  args: readonly string[],
): T {
  const found: T[] = [];
  commandFor(async (options) => {
    found.push(options);
    return 0;
  })
    .configureOutput({ writeOut: () => {}, outputError: () => {} })
    .parse([...args], { from: 'user' });
  const [options] = found;
  if (options === undefined) throw new Error('the command did not run');
  return options;
}
