/**
 * Command lines of this repository's npm scripts and of the load generator: parseArgs (node:util), the value parsers
 * of the commands, and one-line errors with exit code 2.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import {
  integer,
  number,
  path,
  printable,
  STDOUT,
  shortened,
  shown,
  UsageError,
} from '../src/options/values.ts';

/** Limit for a message of parseArgs, which quotes the command line. */
const MESSAGE_MAX = 160;

/** parseArgs that throws UsageError. Accepts no positional arguments. */
export function parseFlags<T extends ParseArgsConfig>(config: T): ReturnType<typeof parseArgs<T>>['values'] {
  try {
    return parseArgs(config).values;
  } catch (error) {
    const { message } = error as Error;
    const [, flag] = /'(?:-\w, )?(--[\w-]+)[^']*' argument is ambiguous/.exec(message) ?? [];
    if (flag !== undefined)
      throw new UsageError(flag, undefined, `${flag}=VALUE if it begins with dashes`, 'a value is missing');
    const [line = 'not understood'] = message.split(/\n|\. To specify|\. This command/);
    throw new UsageError('command line', undefined, 'see --help', printable(shortened(line, MESSAGE_MAX)));
  }
}

/** A number from `low` to `high`, whole unless `fraction` is true. */
export function numberFlag(flag: string, text: string, low: number, high: number, fraction = false): number {
  return (fraction ? number : integer)(low, high)(text, flag);
}

/** Opens a file with the given node:fs flags. Throws UsageError when it cannot be written. */
export function openOutput(flag: string, file: string, mode: 'a' | 'w'): number {
  try {
    return openSync(file, mode);
  } catch (error) {
    const why = `${shown(file)} cannot be written (${(error as NodeJS.ErrnoException).code})`;
    throw new UsageError(flag, file, 'a file in a writable folder', why);
  }
}

/** Opens a file now, and returns how to write it at the end. STDOUT is standard output. */
export function outputTo(flag: string, file: string): (text: string) => void {
  if (file === STDOUT) return (text) => process.stdout.write(text);
  const output = openOutput(flag, file, 'w');
  return (text) => writeFileSync(output, text);
}

/** A file that is written at the end; refused before measuring when it is not writable. */
export function fileFlag(flag: string, text: string): string {
  closeSync(openOutput(flag, path(text, flag), 'a'));
  return text;
}

/** Like fileFlag(), or `-` for standard output. */
export function destinationFlag(flag: string, text: string): string {
  return text === STDOUT ? text : fileFlag(flag, text);
}

/** Writes to a destination checked by destinationFlag(). The caller prints nothing else to standard output then. */
export function putJson(destination: string, value: unknown): void {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (destination === STDOUT) process.stdout.write(text);
  else writeFileSync(destination, text);
}

/**
 * Runs a program: `--help` prints `usage` (null for a program that is only started by others); an error becomes one line
 * on standard error, with exit code 2 for a UsageError, else 1.
 */
export async function runProgram(
  name: string,
  usage: string | null,
  main: () => number | Promise<number>,
): Promise<void> {
  const argv = process.argv.slice(2);
  try {
    if (usage !== null && (argv.includes('--help') || argv.includes('-h'))) process.stdout.write(usage);
    else process.exitCode = await main();
  } catch (error) {
    process.stderr.write(`${name}: ${(error as Error).message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
