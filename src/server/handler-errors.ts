/**
 * Logs the errors of the operator's handler: the first with its stack, further ones in aggregate.
 *
 * Main thread only. It owns a rate limit, and through that a timer while log lines are pending. A worker posts at most
 * one error a second (workers/handler.ts), perhaps before main has counted its connection as closed; the close reasons
 * tell how many there were.
 */
import { RateLimit } from '../log/rate-limit.ts';
import { printable } from '../options/index.ts';

/** Between two log lines. */
const LOG_INTERVAL_MS = 10_000;

interface HandlerErrorMessage {
  handlerError: {
    worker: number;
    /** Null for an error of tearDown. */
    connection: number | null;
    /** The error with its stack, or another thrown value. */
    error: string;
  };
}

type Warn = (details: object, what: string) => void;

export class HandlerErrors {
  private readonly warn: Warn;
  /** Connections that the handler's errors have ended. */
  private readonly total: () => number;
  private last: HandlerErrorMessage['handlerError'] | null = null;
  /** Errors in the log. */
  private logged = 0;
  private readonly limit = new RateLimit(LOG_INTERVAL_MS, () => this.log());

  constructor(warn: Warn, total: () => number) {
    this.warn = warn;
    this.total = total;
  }

  static isMessage(message: unknown): message is HandlerErrorMessage {
    return 'handlerError' in (message as object); // every message of a worker is an object
  }

  take({ handlerError }: HandlerErrorMessage): void {
    const { worker, connection, error } = handlerError;
    if (connection === null) {
      this.warn({ worker, error: printableLines(error) }, 'tearDown of the handler failed');
      return;
    }
    this.last = handlerError;
    this.limit.record();
  }

  private log(): void {
    if (this.last === null) return;
    const { worker, connection, error } = this.last;
    if (this.logged === 0) {
      this.logged = 1;
      this.warn({ worker, connection, error: printableLines(error) }, 'handler failed; connection reset');
      return;
    }
    const times = Math.max(1, this.total() - this.logged);
    this.logged += times;
    const [first = ''] = error.split('\n', 1);
    this.warn({ times, error: printable(first) }, 'handler failed again; connections reset');
  }

  /** Flushes pending log lines; all connections have been counted. */
  close(): void {
    this.limit.close();
    if (this.total() > this.logged) this.log();
  }
}

/** Escapes control characters, except the line breaks of a stack. */
function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}
