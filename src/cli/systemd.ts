/**
 * The service manager's protocols: inherited listening sockets (sd_listen_fds(3)), readiness and the watchdog
 * (sd_notify(3), sd_watchdog_enabled(3)).
 *
 * Main thread only, and only for the command: a library must not act on the environment of its host. The notifier owns
 * two unref'd timers. Without a service manager it does nothing.
 */
import { UsageError } from '../options/index.ts';
import { notTcpListener } from '../sys/inherited-socket.ts';
import { SysError } from '../sys/libc.ts';
import type { SocketAddress } from '../sys/sockaddr.ts';
import { localAddress } from '../sys/socket.ts';
import { sendDatagram } from '../sys/unix-datagram.ts';

/** The first inherited descriptor, sd_listen_fds(3). */
const LISTEN_FDS_START = 3;
const LISTEN_VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'];
const ONE_SOCKET = 'one listening TCP socket (Accept=no)';

/** Pause after EAGAIN: the manager's receive queue is full. */
const RETRY_MS = 100;
/** The longest delay of a Node timer, 24 days. */
const TIMER_MAX_MS = 2 ** 31 - 1;

/** An inherited listening socket and its address. */
export interface InheritedSocket extends SocketAddress {
  fd: number;
}

/**
 * The listening socket that this process inherited, or null. Removes the variables, so that children do not see them.
 * Throws UsageError for anything but one listening TCP socket.
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

/** The manager's watchdog timeout for this process; null if it has none. */
function watchdogMs(environment: NodeJS.ProcessEnv, pid: number): number | null {
  const { WATCHDOG_USEC, WATCHDOG_PID } = environment;
  if (WATCHDOG_USEC === undefined || (WATCHDOG_PID !== undefined && WATCHDOG_PID !== String(pid)))
    return null;
  const usec = Number(WATCHDOG_USEC);
  return usec > 0 ? Math.max(1, Math.min(usec / 1000, TIMER_MAX_MS)) : null;
}

export class Notifier {
  private readonly socket: string | undefined;
  private readonly watchdogMs: number | null;
  private readonly onFailure: (code: string) => void;
  private failed = false;
  /** Messages not sent yet, in order; at most two, ready and stopping. */
  private readonly unsent: string[] = [];
  private retryTimer: NodeJS.Timeout | null = null;
  private watchdogTimer: NodeJS.Timeout | null = null;

  /** `onFailure` is called at most once. */
  constructor(environment: NodeJS.ProcessEnv, pid: number, onFailure: (code: string) => void) {
    this.socket = environment.NOTIFY_SOCKET || undefined;
    this.watchdogMs = watchdogMs(environment, pid);
    this.onFailure = onFailure;
  }

  /** Reports readiness, and from then on sends two keepalives per watchdog timeout while the event loop runs. */
  ready(status: string): void {
    this.send(`READY=1\nSTATUS=${status}`);
    if (this.socket === undefined || this.watchdogMs === null) return;
    const keepalive = () => {
      if (this.unsent.length === 0) this.send('WATCHDOG=1');
    };
    keepalive();
    this.watchdogTimer = setInterval(keepalive, this.watchdogMs / 2).unref();
  }

  /** Reports the stop and the longest time it may take, which may exceed the manager's own stop timeout. */
  stopping(status: string, atMostMs: number): void {
    this.send(`STOPPING=1\nSTATUS=${status}\nEXTEND_TIMEOUT_USEC=${Math.ceil(atMostMs) * 1000}`);
  }

  close(): void {
    if (this.retryTimer !== null) clearTimeout(this.retryTimer);
    if (this.watchdogTimer !== null) clearInterval(this.watchdogTimer);
    this.retryTimer = null;
    this.watchdogTimer = null;
    this.unsent.length = 0;
  }

  private send(text: string): void {
    if (this.socket === undefined) return;
    this.unsent.push(text);
    if (this.retryTimer === null) this.flush(this.socket);
  }

  private flush(socket: string): void {
    for (let text = this.unsent[0]; text !== undefined; text = this.unsent[0]) {
      const failure = errorCodeOf(() => sendDatagram(socket, text));
      if (failure === 'EAGAIN') {
        this.retryTimer = setTimeout(() => {
          this.retryTimer = null;
          this.flush(socket);
        }, RETRY_MS).unref();
        return;
      }
      this.unsent.shift();
      if (failure !== null && !this.failed) this.onFailure(failure);
      if (failure !== null) this.failed = true;
    }
  }
}

function errorCodeOf(action: () => void): string | null {
  try {
    action();
    return null;
  } catch (error) {
    return error instanceof SysError ? error.code : (error as Error).message;
  }
}
