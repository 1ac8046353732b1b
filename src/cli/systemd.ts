/**
 * What a service manager tells a process through its environment, and what it wants to hear back: an inherited
 * listening socket (sd_listen_fds(3)), readiness and the watchdog (sd_notify(3), sd_watchdog_enabled(3)).
 *
 * Main thread only, and only for the command: a library must not act on the environment of its host. The
 * notifier owns two timers, which keep no process alive. Without a service manager nothing happens.
 */
import { UsageError } from '../options/index.ts';
import { notTcpListener } from '../sys/inherited-socket.ts';
import { SysError } from '../sys/libc.ts';
import type { SocketAddress } from '../sys/sockaddr.ts';
import { localAddress } from '../sys/socket.ts';
import { sendDatagram } from '../sys/unix-datagram.ts';

/** Where inherited descriptors begin, sd_listen_fds(3). */
const LISTEN_FDS_START = 3;
const LISTEN_VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'];
const ONE_SOCKET = 'one listening TCP socket (Accept=no)';

/** Asked too soon again, the manager's queue is still full. */
const RETRY_MS = 100;
/** The longest time that a timer takes: 24 days. */
const FOREVER_MS = 2 ** 31 - 1;

/** A socket to listen on, and where it does. */
export interface InheritedSocket extends SocketAddress {
  fd: number;
}

/**
 * The socket that was handed to this process, null when none was. Takes the variables out of the environment: they are
 * for nobody else. Throws UsageError for anything but one listening TCP socket.
 */
export function takeInheritedSocket(environment: NodeJS.ProcessEnv, pid: number): InheritedSocket | null {
  const { LISTEN_PID, LISTEN_FDS } = environment;
  for (const name of LISTEN_VARIABLES) delete environment[name];
  if (LISTEN_PID !== String(pid) || LISTEN_FDS === undefined || LISTEN_FDS === '0') return null;
  if (LISTEN_FDS !== '1') throw new UsageError('LISTEN_FDS', LISTEN_FDS, ONE_SOCKET);
  const other = notTcpListener(LISTEN_FDS_START);
  if (other !== null)
    throw new UsageError(
      'LISTEN_FDS',
      LISTEN_FDS,
      `${ONE_SOCKET}; descriptor ${LISTEN_FDS_START} is ${other}`,
    );
  return { fd: LISTEN_FDS_START, ...localAddress(LISTEN_FDS_START) };
}

/** How often the manager wants to hear from this process; null when it does not. */
function watchdogMs(environment: NodeJS.ProcessEnv, pid: number): number | null {
  const { WATCHDOG_USEC, WATCHDOG_PID } = environment;
  if (WATCHDOG_USEC === undefined || (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(pid)))
    return null;
  const usec = Number(WATCHDOG_USEC);
  return usec > 0 ? Math.max(1, Math.min(usec / 1000, FOREVER_MS)) : null;
}

export class Notifier {
  private readonly socket: string | undefined;
  private readonly watchdogMs: number | null;
  private readonly onFailure: (code: string) => void;
  private failed = false;
  /** Not sent yet, in order. Two at most: ready and stopping. */
  private readonly waiting: string[] = [];
  private retryTimer: NodeJS.Timeout | null = null;
  private watchdogTimer: NodeJS.Timeout | null = null;

  /** `onFailure` is told once. */
  constructor(environment: NodeJS.ProcessEnv, pid: number, onFailure: (code: string) => void) {
    this.socket = environment.NOTIFY_SOCKET || undefined;
    this.watchdogMs = watchdogMs(environment, pid);
    this.onFailure = onFailure;
  }

  /** It serves. From here on the manager hears from it twice in each watchdog time, while the event loop turns. */
  ready(status: string): void {
    this.send(`READY=1\nSTATUS=${status}`);
    if (this.socket === undefined || this.watchdogMs === null) return;
    const keepalive = () => {
      if (this.waiting.length === 0) this.send('WATCHDOG=1');
    };
    keepalive();
    this.watchdogTimer = setInterval(keepalive, this.watchdogMs / 2).unref();
  }

  /** It stops, which may take so long: more than the manager would wait by itself, perhaps. */
  stopping(status: string, atMostMs: number): void {
    this.send(`STOPPING=1\nSTATUS=${status}\nEXTEND_TIMEOUT_USEC=${Math.ceil(atMostMs) * 1000}`);
  }

  close(): void {
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    if (this.watchdogTimer !== null) clearInterval(this.watchdogTimer);
    this.retryTimer = null;
    this.watchdogTimer = null;
    this.waiting.length = 0;
  }

  private send(text: string): void {
    if (this.socket === undefined) return;
    this.waiting.push(text);
    if (this.retryTimer === null) this.flush(this.socket);
  }

  private flush(socket: string): void {
    for (let text = this.waiting[0]; text !== undefined; text = this.waiting[0]) {
      const failure = failureOf(() => sendDatagram(socket, text));
      if (failure === 'EAGAIN') {
        this.retryTimer = setTimeout(() => {
          this.retryTimer = null;
          this.flush(socket);
        }, RETRY_MS).unref();
        return;
      }
      this.waiting.shift();
      if (failure !== null && !this.failed) this.onFailure(failure);
      if (failure !== null) this.failed = true;
    }
  }
}

function failureOf(action: () => void): string | null {
  try {
    action();
    return null;
  } catch (error) {
    return error instanceof SysError ? error.code : (error as Error).message;
  }
}
