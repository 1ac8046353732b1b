/**
 * `kecho-pool serve`: the server's life: options, start, signals, exit code.
 *
 * Main thread. Loaded only when the server is to run.
 */
import type { Logger } from 'pino';
import type { Admin } from '../admin/index.ts';
import { createLogger } from '../log/log.ts';
import {
  type EchoServerOptions,
  type NameOf,
  OPTION_SPECS,
  resolveOptions,
  UsageError,
  type WrittenOf,
} from '../options/index.ts';
import { EchoServer } from '../server/server.ts';
import { onStopSignal, type StopSignal } from '../sys/signals.ts';
import { refuseClash } from './address-clash.ts';
import { complain, EXIT } from './complaint.ts';
import { gatherOptions, unusedVariables } from './environment.ts';
import { adminFailure, listenFailure, takeOverFailure } from './listen-failures.ts';
import { Notifier, takeInheritedSocket } from './systemd.ts';

const NAME = 'kecho-pool';
/** Two of the same stop signal within this time are one Ctrl-C, which npm passes on as well. */
const SAME_SIGNAL_MS = 100;
const AGAIN = 'a second Ctrl-C (or SIGTERM) cuts the connections that are open';
/** What a stop may take after the drain: until the threads have ended, with room. */
const STOP_EXTRA_MS = 10_000;
/** Options that only say how to bind. */
const BINDING = OPTION_SPECS.filter(({ key }) => ['host', 'port', 'backlog', 'reusePort'].includes(key));

/** Starts the server and leaves it running; sets the exit code. */
export async function serve(flags: Record<string, unknown>): Promise<void> {
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
    complain(NAME, adminFailure(error, String(options.admin)));
    process.exitCode = EXIT.cannotListen;
    return;
  }
  try {
    const { address, port } = await server.listen(inherited === null ? {} : { fd: inherited.fd });
    notifier.ready(`listening on ${address} port ${port}, ${options.strategy}`);
  } catch (error) {
    if (server.isClosing) return; // by a signal while it started
    await admin?.close();
    const failure =
      inherited === null
        ? listenFailure(error, options.host, options.port)
        : takeOverFailure(error, inherited);
    complain(NAME, failure);
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
