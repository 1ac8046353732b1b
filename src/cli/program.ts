/**
 * The command line: options from flags and environment, exit codes, signals.
 *
 * Exit codes: 0 done, 1 what was asked for cannot be written to standard output, 2 usage, 3 cannot listen,
 * 4 connections had to be cut at the end of the drain.
 */
import { Command, CommanderError, Option } from 'commander';
import type { Logger } from 'pino';
import type { Admin } from '../admin/index.ts';
import { createLogger } from '../log/log.ts';
import {
  allowed,
  type EchoServerOptions,
  type NameOf,
  OPTION_SPECS,
  printable,
  resolveOptions,
  shortened,
  UsageError,
  type WrittenOf,
} from '../options/index.ts';
import { EchoServer } from '../server/server.ts';
import { packageVersion } from '../server/status.ts';
import { closeDebugger, onStopSignal, type StopSignal } from '../sys/signals.ts';
import { refuseClash } from './address-clash.ts';
import { gatherOptions, unusedVariables } from './environment.ts';
import { EXAMPLES, HELP_LAYOUT } from './help.ts';
import { adminFailure, listenFailure, takeOverFailure } from './listen-failures.ts';
import { Notifier, takeInheritedSocket } from './systemd.ts';

export const EXIT = { done: 0, output: 1, usage: 2, cannotListen: 3, cut: 4 } as const;

/** Most of what is said of a command line before it is cut. */
const MESSAGE_MAX = 300;
/** Two of the same stop signal within this time are one Ctrl-C, which npm passes on as well. */
const SAME_SIGNAL_MS = 100;
const AGAIN = 'a second Ctrl-C (or SIGTERM) cuts the connections that are open';
/** What a stop may take after the drain: until the threads have ended, with room. */
const STOP_EXTRA_MS = 10_000;
/** Options that only say how to bind. */
const BINDING = OPTION_SPECS.filter(({ key }) => ['host', 'port', 'backlog', 'reusePort'].includes(key));

const VALUE_NAMES: { [type: string]: string } = { boolean: '', duration: ' <time>', size: ' <size>' };

function addServeOptions(command: Command): Command {
  for (const spec of OPTION_SPECS) {
    const short = spec.short === undefined ? '    ' : `-${spec.short}, `;
    const value = VALUE_NAMES[spec.kind.type] ?? ' <value>';
    const only = spec.only === undefined ? '' : `${spec.only.join(', ')}: `;
    const option = new Option(
      `${short.trim() === '' ? '' : short}--${spec.flag}${value}`,
      `${only}${spec.help} (default: ${spec.defaultText})`,
    );
    if (spec.kind.type === 'services') option.argParser((text, before: string[] = []) => [...before, text]);
    command.addOption(option.helpGroup(`${spec.group}:`));
    if (spec.kind.type === 'boolean') command.addOption(new Option(`--no-${spec.flag}`).hideHelp());
  }
  return command
    .addOption(new Option('--print-config', 'print the effective options as JSON and exit'))
    .allowExcessArguments(false)
    .action((flags: Record<string, unknown>, self: Command) => serve({ ...self.parent?.opts(), ...flags }));
}

/** A command that reads its own flags. Loaded only when it is asked for: the server does without. */
function addTool(
  program: Command,
  name: string,
  description: string,
  main: (argv: readonly string[]) => Promise<number>,
): void {
  program
    .command(name)
    .description(description)
    .usage('[options]')
    .helpOption(false)
    .allowUnknownOption()
    .passThroughOptions()
    .argument('[args...]')
    .action(async (argv: string[]) => {
      process.exitCode = await main(argv);
    });
}

/**
 * `help` and `help top`, as programs with commands have it. commander's own would print for a tool the little that
 * commander knows of it, and nothing but "unknown command" for a name that is none.
 */
function addHelp(program: Command): void {
  program
    .command('help')
    .description('print this, or the help of a command')
    .argument('[command]')
    .allowExcessArguments(false)
    .action(async (name?: string) => {
      if (name === undefined) program.help();
      const names = program.commands.map((command) => command.name());
      if (!names.includes(name)) throw new UsageError('help', name, `one of ${names.join(', ')}`);
      await program.parseAsync([name, '--help'], { from: 'user' });
    });
}

export function buildProgram(): Command {
  const program = new Command('kecho-pool')
    .description('TCP echo server whose way of handing connections to threads is the experiment.')
    .version(packageVersion(), '-V, --version')
    .enablePositionalOptions()
    .configureHelp(HELP_LAYOUT)
    .addHelpText('after', EXAMPLES);
  addServeOptions(program);
  addServeOptions(program.command('serve').description('run the server (the default command)'));
  addTool(program, 'bench', 'measure any echo server; see kecho-pool bench --help', async (argv) => {
    const { benchMain } = await import('../../bench/bench-command.ts');
    return benchMain(argv);
  });
  addTool(program, 'compare', 'compare the strategies; see kecho-pool compare --help', async (argv) => {
    const { compareMain } = await import('../../bench/compare-command.ts');
    return compareMain(argv);
  });
  addTool(program, 'top', 'watch a running server; see kecho-pool top --help', async (argv) => {
    const { topMain } = await import('../top/top-command.ts');
    return topMain(argv);
  });
  addTool(program, 'demo', 'the strategies at work, to look at; see kecho-pool demo --help', async (argv) => {
    const { demoMain } = await import('../demo/demo-command.ts');
    return demoMain(argv);
  });
  addHelp(program);
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ outputError: () => {} });
  }
  return program;
}

function plainMessage({ code, message }: CommanderError): string {
  const spec = OPTION_SPECS.find(({ flag }) => new RegExp(`'(?:-\\w, )?--${flag}[ '=]`).test(message));
  if (code === 'commander.optionMissingArgument' && spec !== undefined) {
    return `--${spec.flag}: a value is missing: ${allowed(spec.kind, true)}`;
  }
  if (code === 'commander.unknownOption' && spec?.kind.type === 'boolean') {
    return `--${spec.flag} takes no value; --no-${spec.flag} turns it off`;
  }
  const what = message.replace(/^error: /, '').replace(/\.$/, '');
  const extra = code === 'commander.excessArguments' ? /got \d+: (.*)$/.exec(what)?.[1] : undefined;
  return extra === undefined ? what : `${JSON.stringify(extra)} is neither an option nor a command`;
}

/** What is wrong with a command line, on one line; null when the error is of another kind. */
export function complaintOf(error: unknown): string | null {
  if (error instanceof CommanderError)
    return `${shortened(oneLine(plainMessage(error)), MESSAGE_MAX)}; see kecho-pool --help`;
  return error instanceof UsageError ? oneLine(error.message) : null;
}

function oneLine(message: string): string {
  return printable(message.replace(/\s*\n\s*/g, ' '));
}

function complain(message: string): void {
  process.stderr.write(`kecho-pool: ${oneLine(message)}\n`);
}

/**
 * Standard output that takes nothing, while help, the options or a report is printed, ends the program: with one
 * line, or with none when the reader wants no more (`| head -1`). The log does not go this way (src/log/sink.ts).
 */
function endWithOutput(): void {
  process.stderr.on('error', () => {}); // nobody left to tell; the exit code still says it
  process.stdout.on('error', ({ code, message }: NodeJS.ErrnoException) => {
    if (code !== 'EPIPE') complain(`cannot write to standard output (${code ?? message})`);
    process.exit(EXIT.output);
  });
}

/** Runs the program; sets the exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  closeDebugger();
  endWithOutput();
  try {
    await buildProgram().parseAsync([...argv]);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return; // help or version
    const complaint = complaintOf(error);
    if (complaint === null) throw error;
    complain(complaint);
    process.exitCode = EXIT.usage;
  }
}

async function serve(flags: Record<string, unknown>): Promise<void> {
  const { given, nameOf, writtenOf } = gatherOptions(flags, process.env);
  const options = resolveOptions(given, nameOf, writtenOf);
  const inherited = takeInheritedSocket(process.env, process.pid);
  if (inherited === null) await refuseClash(options, nameOf, writtenOf); // else host and port are not used
  const logger = createLogger(options);
  const server = makeServer(given, nameOf, writtenOf, logger);
  if (flags.printConfig === true) {
    const { maxWorkers, maxConnections } = server.limits;
    const { workers: _, ...rest } = options;
    const effective = {
      ...(options.strategy === 'workqueue' ? options : { ...rest, maxWorkers }),
      maxConnections,
    };
    process.stdout.write(`${JSON.stringify(effective, null, 2)}\n`);
    return;
  }
  const { unknown, serviceLinks } = unusedVariables(process.env);
  if (unknown.length > 0) logger.warn({ unknown }, 'environment variables that are no option');
  if (serviceLinks.length > 0)
    logger.info({ ignored: serviceLinks }, 'environment variables of a Kubernetes service are ignored');
  const unused = BINDING.filter((spec) => given[spec.key] !== undefined).map(nameOf);
  if (inherited !== null && unused.length > 0)
    logger.warn({ unused }, 'not used: the listening socket is inherited');
  const notifier = new Notifier(process.env, process.pid, (code) => {
    logger.warn({ code }, 'NOTIFY_SOCKET: the service manager cannot be told');
  });
  const admin = options.admin === undefined ? null : await makeAdmin(server, options.admin, logger);
  handleSignals(server, notifier, admin, logger);
  try {
    await admin?.listen();
  } catch (error) {
    if (server.isClosing) return; // by a signal meanwhile
    complain(adminFailure(error, String(options.admin)));
    process.exitCode = EXIT.cannotListen;
    return;
  }
  try {
    const { address, port } = await server.listen(inherited === null ? {} : { fd: inherited.fd });
    notifier.ready(`listening on ${address} port ${port}, ${options.strategy}`);
  } catch (error) {
    if (server.isClosing) return; // by a signal while it started
    await admin?.close();
    complain(
      inherited === null
        ? listenFailure(error, options.host, options.port)
        : takeOverFailure(error, inherited),
    );
    process.exitCode = EXIT.cannotListen;
    return;
  }
}

function makeServer(
  given: EchoServerOptions,
  nameOf: NameOf,
  writtenOf: WrittenOf,
  logger: Logger,
): EchoServer {
  try {
    return new EchoServer(given, logger);
  } catch (error) {
    const spec = error instanceof UsageError ? OPTION_SPECS.find((s) => s.key === error.option) : undefined;
    if (!(error instanceof UsageError) || spec === undefined) throw error;
    throw new UsageError(nameOf(spec), writtenOf(spec), error.allowed);
  }
}

/** Loaded only when it is asked for: the server does without. */
async function makeAdmin(server: EchoServer, listen: string, logger: Logger): Promise<Admin> {
  const { createAdmin } = await import('../admin/index.ts');
  return createAdmin(server, { listen, logger });
}

function handleSignals(server: EchoServer, notifier: Notifier, admin: Admin | null, logger: Logger): void {
  let firstAtMs = 0;
  const stop = (signal: StopSignal) => {
    const nowMs = performance.now();
    if (firstAtMs !== 0) {
      // A terminal that is closed sends SIGHUP more than once: by the shell, and by the kernel when the shell has ended.
      const isAnother = signal !== 'SIGHUP' && nowMs - firstAtMs > SAME_SIGNAL_MS;
      if (isAnother) void server.close({ drainTimeoutMs: 0 });
      return;
    }
    firstAtMs = nowMs;
    const { pretty, drainTimeoutMs } = server.options;
    const active = () => server.stats().connections.active;
    notifier.stopping(`draining, ${active()} open`, drainTimeoutMs + STOP_EXTRA_MS);
    void server.close().then(async ({ cut }) => {
      await admin?.close(); // last: it tells of the stop
      process.exit(cut > 0 ? EXIT.cut : EXIT.done);
    });
    // For whoever sits there and sees nothing happen. A program that reads JSON lines knows what it sent.
    if (pretty && drainTimeoutMs > 0 && active() > 0) logger.info(AGAIN);
  };
  onStopSignal(stop);
  process.on('SIGUSR2', () => server.logStats());
}
