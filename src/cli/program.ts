/**
 * The program: its commands, and how their errors end it. A command's modules are loaded when it runs.
 *
 * The exit codes of each command are in its help.
 */
import { Command, CommanderError } from 'commander';
import { UsageError } from '../options/index.ts';
import { packageVersion } from '../server/status.ts';
import { closeDebugger } from '../sys/signals.ts';
import { complain, complaintOf, EXIT } from './complaint.ts';
import { withCommonSettings } from './flags.ts';
import { SERVER_ENDING } from './help.ts';
import { allServerFlags } from './server-options.ts';

const NAME = 'kecho-pool';

interface ToolModule {
  command: () => Command;
}

const TOOLS: readonly (readonly [
  name: string,
  summary: string,
  load: () => Promise<ToolModule>,
  hidden?: boolean,
])[] = [
  ['bench', 'measure any echo server', () => import('./commands/bench.ts')],
  ['merge', 'add up the results of several load generators', () => import('./commands/merge.ts')],
  ['compare', 'compare the strategies, and other servers', () => import('./commands/compare.ts')],
  ['timeline', 'draw when requests burn CPU and sleep', () => import('./commands/timeline.ts')],
  ['sim', 'simulate cmwq on a virtual clock', () => import('./commands/sim.ts')],
  ['top', 'watch a running server', () => import('./commands/top.ts')],
  ['demo', 'show the strategies at work in the dashboard', () => import('./commands/demo.ts')],
  ['compare-host', 'run the servers of compare --on', () => import('./commands/compare-host.ts'), true],
];

function addServer(command: Command): Command {
  command.option('--print-config', 'print the effective options as JSON and exit');
  for (const option of allServerFlags()) command.addOption(option);
  return command.action(async (flags: Record<string, unknown>, self: Command) => {
    const { serve } = await import('./serve.ts');
    await serve({ ...self.parent?.opts(), ...flags });
  });
}

function addTool(program: Command, [name, summary, load, hidden = false]: (typeof TOOLS)[number]): void {
  program
    .command(name, { hidden })
    .description(summary)
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .argument('[args...]')
    .action(async (argv: string[]) => {
      refuseServerOptions(program, name);
      const { command } = await load();
      await runCommand(command(), argv);
    });
}

/** commander gives options before a command's name to the program, which would ignore them. Throws UsageError. */
function refuseServerOptions(program: Command, command: string): void {
  const given = program.options.find((option) => {
    const key = option.attributeName();
    const isNegated = program.getOptionValue(key) === false; // --pretty and --no-pretty have one key
    return program.getOptionValueSource(key) === 'cli' && option.negate === isNegated;
  });
  if (given === undefined) return;
  const allowed = 'options of a command go after its name, options of the server go with serve';
  throw new UsageError(given.long ?? given.flags, undefined, allowed, `not allowed before ${command}`);
}

/** `help` and `help top`. commander's own help command does not load a tool, and so lacks its options. */
function addHelp(program: Command): void {
  withCommonSettings(program.command('help'))
    .description('print this help, or that of a command: kecho-pool help top')
    .argument('[command]')
    .action(async (name?: string) => {
      refuseServerOptions(program, 'help');
      if (name === undefined) program.help();
      const names = program.commands.map((command) => command.name());
      if (!names.includes(name)) throw new UsageError('help', name, `one of ${names.join(', ')}`);
      await program.parseAsync([name, '--help'], { from: 'user' });
    });
}

export function buildProgram(): Command {
  const program = withCommonSettings(new Command(NAME))
    .description('Runs a TCP echo server with a choice of strategies for dispatching connections to threads.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .enablePositionalOptions()
    .addHelpText('after', SERVER_ENDING);
  addServer(program);
  addServer(withCommonSettings(program.command('serve')))
    .summary('run the server (the default command)')
    .description('Runs the server; the same as kecho-pool without a command.')
    .addHelpText('after', SERVER_ENDING);
  for (const tool of TOOLS) addTool(program, tool);
  addHelp(program);
  return program;
}

/** Runs a command. An error becomes one line and an exit code; unexpected errors of the server are rethrown. */
async function runCommand(command: Command, argv: readonly string[]): Promise<void> {
  const name = command.name();
  try {
    await command.parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return; // help or version
    const complaint = complaintOf(error, command);
    if (complaint === null && name === NAME) throw error;
    complain(name, complaint ?? (error as Error).message);
    process.exitCode = complaint === null ? EXIT.failed : EXIT.usage;
  }
}

/**
 * Exits when help, options or a report cannot be written to standard output: with one line, or silently if the reader
 * has closed the pipe (`| head -1`). The log has a sink of its own (src/log/sink.ts).
 */
function exitOnOutputError(): void {
  process.stderr.on('error', () => {}); // the exit code still reports the failure
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE') complain(NAME, `cannot write to standard output (${code ?? message})`);
    process.exit(EXIT.failed);
  });
}

/** Runs the program; sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  closeDebugger();
  exitOnOutputError();
  await runCommand(buildProgram(), argv.slice(2));
}
