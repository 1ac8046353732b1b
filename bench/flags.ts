/**
 * Command-line values of the bench programs: checked, or refused in one clear line with exit code 2.
 *
 * parseArgs (node:util) splits the command line; this turns its strings into numbers within limits, and sees that
 * files can be written before anything is measured. It knows no option by name.
 */
import { closeSync, openSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';

/**
 * A command line that cannot be obeyed. The message names the flag and what is wrong with it, on one line and
 * without characters that a terminal obeys: they become escapes like \u001b.
 */
export class UsageError extends Error {
  override readonly name = 'UsageError';

  constructor(message: string) {
    super(
      message.replaceAll(/\s*\n\s*/g, ' ').replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, (character) => {
        return `\\u${(character.codePointAt(0) as number).toString(16).padStart(4, '0')}`; // it has one
      }),
    );
  }
}

/** Most of an argument that a complaint repeats. */
const SHOWN_MAX = 80;

function shortened(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most)}...`;
}

/** An argument in a complaint: in quotation marks, and cut when it is long. */
export function quoted(text: string): string {
  return `"${shortened(text, SHOWN_MAX)}"`;
}

type Values<T extends ParseArgsConfig> = ReturnType<typeof parseArgs<T>>['values'];

/** parseArgs whose complaints are UsageErrors of one line. No positional arguments are taken. */
export function parseFlags<T extends ParseArgsConfig>(config: T): Values<T> {
  try {
    return parseArgs(config).values as Values<T>;
  } catch (error) {
    const [line = 'bad command line'] = String((error as Error).message).split(/\n|\. To specify/);
    throw new UsageError(shortened(line, 2 * SHOWN_MAX));
  }
}

/** The same for a program that takes arguments without a flag. */
export function parseArguments<T extends ParseArgsConfig>(
  config: T,
): { values: Values<T>; positionals: string[] } {
  const withPositionals = { ...config, allowPositionals: true };
  const values = parseFlags(withPositionals) as Values<T>;
  return { values, positionals: parseArgs(withPositionals).positionals };
}

/** A number from `low` to `high`, whole unless `fraction` is true. */
export function numberFlag(flag: string, text: string, low: number, high: number, fraction = false): number {
  const value = Number(text);
  const shape = fraction ? Number.isFinite(value) : Number.isInteger(value);
  if (text.trim() === '' || !shape || value < low || value > high) {
    throw new UsageError(
      `${flag} takes a ${fraction ? '' : 'whole '}number from ${low} to ${high}, not ${quoted(text)}`,
    );
  }
  return value;
}

/** A path for a flag that does not write to standard output, which - stands for elsewhere. */
export function pathFlag(flag: string, text: string): string {
  if (text !== '-' && text.trim() !== '') return text;
  throw new UsageError(`${flag} takes a path, not ${quoted(text)}`);
}

/** A file to be written at the end: one that cannot be written is refused before the measuring, not after. */
export function fileFlag(flag: string, text: string): string {
  const path = pathFlag(flag, text);
  try {
    closeSync(openSync(path, 'a'));
    return path;
  } catch (error) {
    throw new UsageError(`${flag} cannot write ${quoted(path)}: ${(error as NodeJS.ErrnoException).code}`);
  }
}

/**
 * Runs a command: `--help` prints `usage`; a UsageError becomes one line on stderr and exit code 2, anything else code 1.
 * Returns the exit code. `usage` is null for a program that nobody starts by hand.
 */
export async function runCommand(
  name: string,
  usage: string | null,
  argv: readonly string[],
  main: () => number | Promise<number>,
): Promise<number> {
  try {
    const wantsHelp = argv.includes('--help') || argv.includes('-h');
    if (usage === null || !wantsHelp) return await main();
    process.stdout.write(usage);
    return 0;
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    process.stderr.write(`${name}: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
    return error instanceof UsageError ? 2 : 1;
  }
}

/** The same for a command that is this process. */
export async function runProgram(
  name: string,
  usage: string | null,
  main: () => number | Promise<number>,
): Promise<void> {
  process.exitCode = await runCommand(name, usage, process.argv.slice(2), main);
}
