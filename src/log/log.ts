/**
 * The log: pino, as JSON lines or for people. A line is out when the call returns, if standard output takes it;
 * if not, the server goes on all the same (sink.ts).
 *
 * What must not happen: bytes from clients in a log. Only counts, addresses, ids and error codes go in.
 */
import { type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import type { SocketAddress } from '../sys/sockaddr.ts';
import { somaxconn } from '../sys/socket.ts';
import { standardOutput } from './sink.ts';

/** A logger on standard output with the level and form of the options. */
export function createLogger(options: Pick<EffectiveOptions, 'logLevel' | 'pretty'>): Logger {
  const sink = standardOutput();
  const form = options.pretty ? forPeople() : (line: string) => line;
  const reportLoss = (lost: number) => log.warn({ lost }, 'log lines were lost');
  const stream = {
    write(line: string): void {
      sink.write(form(line), reportLoss);
      if (sink.isClosed) log.level = 'silent'; // else lines would be made for nobody
    },
  };
  const log = pino({ level: options.logLevel, base: { pid: process.pid } }, stream);
  return log;
}

/** Turns JSON lines into lines for people. pino-pretty's stream would do it later than at once. */
function forPeople(): (line: string) => string {
  return prettyFactory({
    singleLine: true,
    colorize: process.stdout.isTTY === true,
    ignore: 'pid,hostname',
    translateTime: 'HH:MM:ss.l',
  });
}

/** The line `listening`: where, how, and within which limits. */
export function logListening(
  log: Logger,
  bound: SocketAddress,
  options: EffectiveOptions,
  limits: Limits,
  threads: number,
): void {
  const { strategy, backlog, workers, cpus, maxQueue } = options;
  const { maxConnections, maxWorkers, descriptors, reserve } = limits;
  log.info(
    {
      address: bound.address,
      port: bound.port,
      strategy,
      ...(strategy === 'workqueue' ? { workers } : { maxWorkers }),
      ...(strategy === 'cmwq' ? { cpus } : { maxQueue }),
      threads,
      limits: { maxConnections, descriptors, reserve, backlog },
    },
    'listening',
  );
  const most = somaxconn();
  if (most !== null && most < backlog) {
    log.warn({ backlog, somaxconn: most }, 'the kernel cuts the backlog to net.core.somaxconn');
  }
}
