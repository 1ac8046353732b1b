/**
 * The log: pino, as JSON lines or human-readable. A line is written when the call returns, if standard output accepts
 * it; if not, the server continues (sink.ts).
 *
 * Bytes from clients must not get into a log: only counts, addresses, ids and error codes.
 */
import { type Logger, pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { EffectiveOptions } from '../options/index.ts';
import type { Limits } from '../options/limits.ts';
import type { SocketAddress } from '../sys/sockaddr.ts';
import { somaxconn } from '../sys/socket.ts';
import { standardOutput } from './sink.ts';

/** A logger on standard output with the level and format of the options. */
export function createLogger(options: Pick<EffectiveOptions, 'logLevel' | 'pretty'>): Logger {
  const sink = standardOutput();
  const format = options.pretty ? prettyFormatter() : (line: string) => line;
  const reportLoss = (lost: number) => log.warn({ lost }, 'log lines were lost');
  const stream = {
    write(line: string): void {
      sink.write(format(line), reportLoss);
      if (sink.isClosed) log.level = 'silent'; // do not format lines that no one can read
    },
  };
  const log = pino({ level: options.logLevel, base: { pid: process.pid } }, stream);
  return log;
}

/** Makes JSON lines human-readable, synchronously; pino-pretty's stream is asynchronous. */
function prettyFormatter(): (line: string) => string {
  return prettyFactory({
    singleLine: true,
    colorize: process.stdout.isTTY === true,
    ignore: 'pid,hostname',
    translateTime: 'HH:MM:ss.l',
  });
}

/** The line `listening`: the address, the strategy and the limits. */
export function logListening(
  log: Logger,
  bound: SocketAddress,
  options: EffectiveOptions,
  limits: Limits,
  threads: number,
): void {
  const { strategy, backlog, workers, cpus, maxQueue, handler } = options;
  const { maxConnections, maxWorkers, descriptors, reserve } = limits;
  log.info(
    {
      address: bound.address,
      port: bound.port,
      strategy,
      ...(strategy === 'workqueue' ? { workers } : { maxWorkers }),
      ...(strategy === 'cmwq' ? { cpus } : { maxQueue }),
      ...(handler === undefined ? {} : { handler }),
      threads,
      limits: { maxConnections, descriptors, reserve, backlog },
    },
    'listening',
  );
  const maximum = somaxconn();
  if (maximum !== null && maximum < backlog) {
    log.warn({ backlog, somaxconn: maximum }, 'kernel limits the backlog to net.core.somaxconn');
  }
}
