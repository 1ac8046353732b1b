/**
 * Error messages of the commands: one line on standard error, and the exit codes.
 */
import { Command, CommanderError, type Option } from 'commander';
import { printable, shortened, UsageError } from '../options/index.ts';

export const EXIT = { done: 0, failed: 1, usage: 2, cannotListen: 3, cut: 4 } as const;

/** Longest message about a command line, in characters; the rest is cut off. */
const MESSAGE_MAX = 300;

/** Writes one line that starts with the name of the command. */
export function complain(name: string, message: string): void {
  process.stderr.write(`${name}: ${oneLine(message)}\n`);
}

function oneLine(message: string): string {
  return printable(message.replace(/\s*\n\s*/g, ' '));
}

/** The message for a wrong command line of `command`, on one line; null if the error is not a usage error. */
export function complaintOf(error: unknown, command: Command): string | null {
  if (error instanceof UsageError) return oneLine(error.message);
  if (!(error instanceof CommanderError)) return null;
  return `${shortened(oneLine(plainMessage(error, command)), MESSAGE_MAX)}; see ${command.name()} --help`;
}

function plainMessage({ code, message }: CommanderError, command: Command): string {
  const what = message.replace(/^error: /, '');
  const options = [command, ...command.commands].flatMap((each) => each.options);
  const quoted = /'(.*)'/s.exec(what)?.[1] ?? '';
  if (code === 'commander.optionMissingArgument') {
    const option = options.find(({ flags }) => flags === quoted);
    if (option !== undefined) return missingValueMessage(option);
  }
  if (code === 'commander.unknownOption') {
    const name = quoted.replace(/=.*/s, '');
    const isKnown = options.some(({ long }) => long === name);
    const negated = options.find(({ long }) => long === `--no-${name.slice(2)}`)?.long;
    if (isKnown) return `${name} takes no value${negated === undefined ? '' : `; ${negated} turns it off`}`;
  }
  const [, expected, given] = /Expected (\d+) .* got \d+: (.*)\.$/s.exec(what) ?? [];
  if (given === undefined) return what.replace(/\.$/, '');
  const extra = given.split(', ').slice(Number(expected)).join(', ');
  const isCommand = command.commands.length > 0 && !what.includes(" for '");
  return isCommand ? unknownCommandMessage(command, extra) : `unexpected argument ${JSON.stringify(extra)}`;
}

/** Takes the allowed values from the error of an empty value. */
function missingValueMessage({ long, parseArg }: Option): string {
  try {
    parseArg?.('', undefined);
  } catch (error) {
    if (error instanceof UsageError) return `${long}: a value is missing: ${error.allowed}`;
  }
  return `${long}: a value is missing`;
}

/** Lets a program without a default command parse the name: commander suggests similar commands only then. */
function unknownCommandMessage({ commands }: Command, given: string): string {
  const names = new Command().exitOverride().configureOutput({ outputError: () => {} });
  for (const command of commands) names.command(command.name());
  try {
    names.parse([given], { from: 'user' });
  } catch (error) {
    return (error as CommanderError).message.replace(/^error: /, '');
  }
  return given;
}
