/**
 * Builds the commands of the tools: flags whose values the parsers of src/options/values.ts read, and the settings that
 * all commands share.
 *
 * Main thread only. A command is built anew for each run; there is no state here.
 */
import { Command, Option } from 'commander';
import { destination, type Parser, STDOUT } from '../options/values.ts';
import { HELP_LAYOUT } from './help.ts';

/** An option with a parsed value of type T. */
export class Flag<T> extends Option {
  declare readonly value: T;
}

type Flags = Record<string, Flag<unknown>>;
/** The parsed values, by the keys of the flags. */
export type ValuesOf<F extends Flags> = { [K in keyof F]: F[K]['value'] };

function parserFor<T>(option: Flag<unknown>, parse: Parser<T>): (text: string) => T {
  return (text) => parse(text, `--${option.name()}`);
}

/** An option with a value. `fallback` is its default as a user would write it, `shownAs` its text in the help. */
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
  const read = parserFor(option, parse);
  option.argParser(read);
  if (fallback !== undefined) option.default(read(fallback), shownAs);
  return option;
}

/** An option that may be repeated. */
export function repeatable<T>(flags: string, help: string, parse: Parser<T>): Flag<T[] | undefined> {
  const option = new Flag<T[] | undefined>(flags, `${help}; may be repeated`);
  const read = parserFor(option, parse);
  option.argParser((text, before: T[] | undefined) => [...(before ?? []), read(text)]);
  return option;
}

/** An option that names a destination: a file, or standard output (`-`, or no value). */
export function output(flags: string, help: string): Flag<string | undefined> {
  const option = new Flag<string | undefined>(flags, help);
  option.argParser(parserFor(option, destination));
  return option;
}

/** An option without a value. */
export function toggle(flags: string, help: string): Flag<boolean> {
  return new Flag<boolean>(flags, help);
}

/** Settings of all commands: they throw instead of exiting, and refuse arguments that they do not declare. */
export function withCommonSettings(command: Command): Command {
  return command
    .exitOverride()
    .configureOutput({ outputError: () => {} })
    .configureHelp(HELP_LAYOUT)
    .helpOption('-h, --help', 'print this help')
    .allowExcessArguments(false);
}

export interface Tool<F extends Flags> {
  name: string;
  /** The first lines of the help. */
  description: string;
  /** A positional argument; an array of strings if it ends with `...`. */
  argument?: readonly [term: string, help: string];
  flags: F;
  /** Flags of the server, whose values stay as commander returns them. */
  serverOptions?: readonly Option[];
  /** The end of the help: notes, examples and exit codes. */
  ending: string;
}

/** The command of a tool. `run` gets the parsed values and returns the exit code. */
export function toolCommand<F extends Flags, A = string | undefined>(
  { name, description, argument, flags, serverOptions = [], ending }: Tool<F>,
  run: (values: ValuesOf<F>, argument: A, all: Record<string, unknown>) => Promise<number>,
): Command {
  const command = withCommonSettings(new Command(`kecho-pool ${name}`)).description(description);
  if (argument !== undefined) command.argument(...argument);
  for (const option of [...Object.values(flags), ...serverOptions]) command.addOption(option);
  return command.addHelpText('after', `\n${ending}`).action((...given: unknown[]) => {
    const values = Object.entries(flags).map(([key, option]) => [key, readValue(command, option)]);
    const first = (argument === undefined ? undefined : given[0]) as A; // as commander hands it
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
