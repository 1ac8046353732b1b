/**
 * The program: its commands, and what ends it. What a command needs is loaded when it runs.
 *
 * Exit codes of the server: 0 done, 1 standard output cannot be written, 2 usage, 3 cannot listen, 4 connections had to
 * be cut at the end of the drain. The tools' are in their help.
 */
import { Command, CommanderError } from 'commander';
import { UsageError } from '../options/index.ts';
import { packageVersion } from '../server/status.ts';
import { closeDebugger } from '../sys/signals.ts';
import { complain, complaintOf, EXIT } from './complaint.ts';
import { inForm } from './flags.ts';
import { SERVER_ENDING } from './help.ts';
import { allServerFlags } from './server-options.ts';

const NAME = 'kecho-pool';

interface ToolModule {
  command: () => Command;
}

const TOOLS: readonly (readonly [name: string, summary: string, load: () => Promise<ToolModule>])[] = [
  ['bench', 'measure any echo server', () => import('./commands/bench.ts')],
  ['compare', 'compare the strategies, and other servers', () => import('./commands/compare.ts')],
  ['timeline', 'draw who burns and who sleeps when', () => import('./commands/timeline.ts')],
  ['sim', 'cmwq on a virtual clock, up to a million connections', () => import('./commands/sim.ts')],
  ['top', 'watch a running server', () => import('./commands/top.ts')],
  ['demo', 'the strategies at work, to look at', () => import('./commands/demo.ts')],
];

function asServer(command: Command): Command {
  command.option('--print-config', 'print the effective options as JSON and exit');
  for (const option of allServerFlags()) command.addOption(option);
  return command.action(async (flags: Record<string, unknown>, self: Command) => {
    const { serve } = await import('./serve.ts');
    await serve({ ...self.parent?.opts(), ...flags });
  });
}

function addTool(program: Command, [name, summary, load]: (typeof TOOLS)[number]): void {
  program
    .command(name)
    .description(summary)
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .argument('[args...]')
    .action(async (argv: string[]) => {
      const { command } = await load();
      await runToEnd(command(), argv);
    });
}

/** `help` and `help top`. commander's own would know of a tool only what is known before it is loaded. */
function addHelp(program: Command): void {
  inForm(program.command('help'))
    .description('print this, or the help of a command: kecho-pool help top')
    .argument('[command]')
    .action(async (name?: string) => {
      if (name === undefined) program.help();
      const names = program.commands.map((command) => command.name());
      if (!names.includes(name)) throw new UsageError('help', name, `one of ${names.join(', ')}`);
      await program.parseAsync([name, '--help'], { from: 'user' });
    });
}

export function buildProgram(): Command {
  const program = inForm(new Command(NAME))
    .description('TCP echo server whose way of handing connections to threads is the experiment.')
    .version(packageVersion(), '-V, --version', 'print the version')
    .enablePositionalOptions()
    .addHelpText('after', SERVER_ENDING);
  asServer(program);
  asServer(inForm(program.command('serve')))
    .description('run the server (the default command)')
    .addHelpText('after', SERVER_ENDING);
  for (const tool of TOOLS) addTool(program, tool);
  addHelp(program);
  return program;
}

/** Runs a command. An error becomes one line and an exit code; a defect of the server surfaces as it is. */
async function runToEnd(command: Command, argv: readonly string[]): Promise<void> {
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
 * Standard output that takes nothing, while help, the options or a report is printed, ends the program: with one
 * line, or with none when the reader wants no more (`| head -1`). The log does not go this way (src/log/sink.ts).
 */
function endWithOutput(): void {
  process.stderr.on('error', () => {}); // nobody left to tell; the exit code still says it
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE') complain(NAME, `cannot write to standard output (${code ?? message})`);
    process.exit(EXIT.failed);
  });
}

/** Runs the program; sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  closeDebugger();
  endWithOutput();
  await runToEnd(buildProgram(), argv.slice(2));
}
