/**
 * `kecho-pool serve`: options, start, signals and exit code of the server.
 *
 * Main thread. Loaded only when the server runs.
 */
import type { Logger } from 'pino';
import type { Admin } from '../admin/index.ts';
import { createLogger } from '../log/log.ts';
import { type NameOf, OPTION_SPECS, resolveOptions, UsageError, type WrittenOf } from '../options/index.ts';
import { EchoServer } from '../server/server.ts';
import { exitNow } from '../sys/exit.ts';
import { onStopSignal, type StopSignal } from '../sys/signals.ts';
import { refuseClash } from './address-clash.ts';
import { complain, EXIT } from './complaint.ts';
import { gatherOptions, unusedVariables } from './environment.ts';
import { adminFailure, inheritedFailure, listenFailure } from './listen-failures.ts';
import { Notifier, takeInheritedSocket } from './systemd.ts';

const NAME = 'kecho-pool';
/** Stop signals within this time count as one: npm passes on a Ctrl-C that the process has received too. */
const SAME_SIGNAL_MS = 100;
const SECOND_SIGNAL_HINT = 'a second Ctrl-C or SIGTERM cuts open connections';
/** Time that a stop may take after the drain until all threads have ended, with a margin. */
const STOP_EXTRA_MS = 10_000;
/** Options that only affect bind(2) and listen(2). */
const BIND_OPTIONS = OPTION_SPECS.filter(({ key }) => ['host', 'port', 'backlog', 'reusePort'].includes(key));

/** Starts the server and leaves it running; sets the exit code. */
export async function serve(flags: Record<string, unknown>): Promise<void> {
  const { given, nameOf, writtenOf } = gatherOptions(flags, process.env);
  const options = resolveOptions(given, nameOf, writtenOf);
  const inherited = takeInheritedSocket(process.env, process.pid);
  if (inherited === null) await refuseClash(options, nameOf, writtenOf); // otherwise host and port are not used
  const logger = createLogger(options);
  const server = await named(() => new EchoServer(given, logger), nameOf, writtenOf);
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
  if (unknown.length > 0) logger.warn({ unknown }, 'unknown KECHO_POOL_* variables');
  if (serviceLinks.length > 0)
    logger.info({ ignored: serviceLinks }, 'variables of a Kubernetes service ignored');
  const unused = BIND_OPTIONS.filter((spec) => given[spec.key] !== undefined).map(nameOf);
  if (inherited !== null && unused.length > 0)
    logger.warn({ unused }, 'options ignored: the listening socket is inherited');
  const notifier = new Notifier(process.env, process.pid, (code) => {
    logger.warn({ code }, 'cannot notify the service manager (NOTIFY_SOCKET)');
  });
  const admin = options.admin === undefined ? null : await makeAdmin(server, options.admin, logger);
  handleSignals(server, notifier, admin, logger);
  await named(() => server.checkHandler(), nameOf, writtenOf); // before the admin endpoint listens
  if (server.isClosing) return; // by a signal
  try {
    await admin?.listen();
  } catch (error) {
    if (server.isClosing) return; // by a signal during the start
    complain(NAME, adminFailure(error, String(options.admin)));
    process.exitCode = EXIT.cannotListen;
    return;
  }
  try {
    const listen = () => server.listen(inherited === null ? {} : { fd: inherited.fd });
    const { address, port } = await named(listen, nameOf, writtenOf);
    notifier.ready(`listening on ${address} port ${port}, ${options.strategy}`);
    if (options.pretty && process.stdout.isTTY)
      for (const step of firstSteps(address, port)) logger.info(step);
  } catch (error) {
    if (server.isClosing) return; // by a signal during the start
    await admin?.close();
    if (error instanceof UsageError) throw error;
    const failure =
      inherited === null
        ? listenFailure(error, options.host, options.port)
        : inheritedFailure(error, inherited);
    complain(NAME, failure);
    process.exitCode = EXIT.cannotListen;
    return;
  }
}

/** What a newcomer may try next. */
function firstSteps(address: string, port: number): string[] {
  return [
    `try: telnet ${address} ${port}`,
    'try: npx kecho-pool demo            (the strategies, drawn live in a browser)',
    'try: npx kecho-pool compare --quick (the strategies, measured here)',
  ];
}

/** Runs an action of the server; a UsageError gets the name and the value as the user wrote them. */
async function named<T>(action: () => T, nameOf: NameOf, writtenOf: WrittenOf): Promise<Awaited<T>> {
  try {
    return await action();
  } catch (error) {
    const spec = error instanceof UsageError ? OPTION_SPECS.find((s) => s.key === error.option) : undefined;
    if (!(error instanceof UsageError) || spec === undefined) throw error;
    throw new UsageError(nameOf(spec), writtenOf(spec), error.allowed);
  }
}

/** Loads the admin modules only when they are needed. */
async function makeAdmin(server: EchoServer, listen: string, logger: Logger): Promise<Admin> {
  const { createAdmin } = await import('../admin/index.ts');
  return createAdmin(server, { listen, logger });
}

function handleSignals(server: EchoServer, notifier: Notifier, admin: Admin | null, logger: Logger): void {
  let firstAtMs = 0;
  const stop = (signal: StopSignal) => {
    const nowMs = performance.now();
    if (firstAtMs !== 0) {
      // A closed terminal causes SIGHUP twice: from the shell, and from the kernel when the shell has ended.
      const isAnother = signal !== 'SIGHUP' && nowMs - firstAtMs > SAME_SIGNAL_MS;
      if (isAnother) void server.close({ drainTimeoutMs: 0 });
      return;
    }
    firstAtMs = nowMs;
    const { pretty, drainTimeoutMs, drainDelayMs } = server.options;
    const active = () => server.stats().connections.active;
    notifier.stopping(`draining, ${active()} open`, drainDelayMs + drainTimeoutMs + STOP_EXTRA_MS);
    void server.close().then(async ({ cut, threadsEnded }) => {
      await admin?.close(); // last, so that watchers see the drain
      const code = cut > 0 ? EXIT.cut : EXIT.done;
      if (threadsEnded) process.exit(code);
      exitNow(code);
    });
    // Only for an operator at a terminal, who would otherwise see nothing happen.
    const waits = drainDelayMs > 0 || (drainTimeoutMs > 0 && active() > 0);
    if (pretty && waits) logger.info(SECOND_SIGNAL_HINT);
  };
  onStopSignal(stop);
  process.on('SIGUSR2', () => server.logStats());
}
