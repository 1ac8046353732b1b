/**
 * The vocabulary of the commands: options whose values are read by the parsers of src/options/values.ts, and the form
 * that all commands have.
 *
 * Main thread only. A command is built anew for each run; nothing is kept here.
 */
import { Command, Option } from 'commander';
import { destination, type Parser, STDOUT } from '../options/values.ts';
import { HELP_LAYOUT } from './help.ts';

/** An option whose value, once it is read, is a T. */
export class Flag<T> extends Option {
  declare readonly value: T;
}

type Flags = Record<string, Flag<unknown>>;
/** What was read, by the keys of the flags. */
export type ValuesOf<F extends Flags> = { [K in keyof F]: F[K]['value'] };

function reads<T>(option: Flag<unknown>, parse: Parser<T>): (text: string) => T {
  return (text) => parse(text, `--${option.name()}`);
}

/** An option with a value. `fallback` is its default as a user would write it, and `shownAs` how the help has it. */
export function flag<T>(
  flags: string,
  help: string,
  parse: Parser<T>,
  fallback: string,
  shownAs?: string,
): Flag<T>;
export function flag<T>(flags: string, help: string, parse: Parser<T>): Flag<T | undefined>;
export function flag<T>(
  flags: string,
  help: string,
  parse: Parser<T>,
  fallback?: string,
  shownAs = fallback,
): Flag<T> {
  const option = new Flag<T>(flags, help);
  const read = reads(option, parse);
  option.argParser(read);
  if (fallback !== undefined) option.default(read(fallback), shownAs);
  return option;
}

/** An option that may be given again. */
export function repeatable<T>(flags: string, help: string, parse: Parser<T>): Flag<T[] | undefined> {
  const option = new Flag<T[] | undefined>(flags, `${help}; may be given again`);
  const read = reads(option, parse);
  option.argParser((text, before: T[] | undefined) => [...(before ?? []), read(text)]);
  return option;
}

/** An option that says where to write: a file, or standard output, also when it has no value. */
export function output(flags: string, help: string): Flag<string | undefined> {
  const option = new Flag<string | undefined>(flags, help);
  option.argParser(reads(option, destination));
  return option;
}

/** An option without a value. */
export function toggle(flags: string, help: string): Flag<boolean> {
  return new Flag<boolean>(flags, help);
}

/** What all commands have: they throw instead of ending the process, and take no arguments but those they name. */
export function inForm(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp(HELP_LAYOUT)
    .helpOption('-h, --help', 'print this')
    .allowExcessArguments(false);
}

export interface Tool<F extends Flags> {
  name: string;
  /** The first lines of its help. */
  description: string;
  /** An argument without a flag, and what it is. */
  argument?: readonly [term: string, help: string];
  flags: F;
  /** Options that are kept as text, and handed on as commander has them. */
  more?: readonly Option[];
  /** The end of its help: notes, examples and exit codes. */
  ending: string;
}

/** The command of a tool. `run` is called with what was read, and returns the exit code. */
export function toolCommand<F extends Flags>(
  { name, description, argument, flags, more = [], ending }: Tool<F>,
  run: (values: ValuesOf<F>, argument: string | undefined, more: Record<string, unknown>) => Promise<number>,
): Command {
  const command = inForm(new Command(`kecho-pool ${name}`)).description(description);
  if (argument !== undefined) command.argument(...argument);
  for (const option of [...Object.values(flags), ...more]) command.addOption(option);
  return command.addHelpText('after', `\n${ending}`).action((...given: unknown[]) => {
    const values = Object.entries(flags).map(([key, option]) => [key, readValue(command, option)]);
    const first = argument === undefined ? undefined : (given[0] as string | undefined); // as commander hands them
    return run(Object.fromEntries(values) as ValuesOf<F>, first, command.opts()).then((code) => {
      process.exitCode = code;
    });
  });
}

function readValue(command: Command, option: Flag<unknown>): unknown {
  const value: unknown = command.getOptionValue(option.attributeName());
  if (option.optional && value === true) return STDOUT;
  return option.isBoolean() ? value === true : value;
}
