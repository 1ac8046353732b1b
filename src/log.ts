/**
 * The log: pino, as JSON lines or for people. Written synchronously, so a line is out when the call returns.
 *
 * What must not happen: bytes from clients in a log. Only counts, addresses, ids and error codes go in.
 */
import { type DestinationStream, destination, type Logger, pino } from 'pino';
import { build } from 'pino-pretty';
import type { EffectiveOptions } from './options.ts';

/** A logger on standard output with the level and form of the options. */
export function createLogger(options: Pick<EffectiveOptions, 'logLevel' | 'pretty'>): Logger {
  const stream: DestinationStream = options.pretty
    ? build({
        sync: true,
        singleLine: true,
        colorize: process.stdout.isTTY === true,
        ignore: 'pid,hostname',
        translateTime: 'HH:MM:ss.l',
      })
    : destination({ dest: 1, sync: true });
  return pino({ level: options.logLevel, base: { pid: process.pid } }, stream);
}
