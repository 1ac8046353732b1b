/**
 * Drives a mode through one run: connect, warm-up, measured window, drain.
 *
 * Runs on the main thread of a process of its own and never yields to the event loop: epoll_wait is the
 * only wait, and every phase ends at a deadline, so a run takes at most
 * timeout + warm-up + duration + timeout.
 */
import { EventList, epollCreate, epollWait } from '../../src/sys/epoll.ts';
import { encodeSockaddr } from '../../src/sys/sockaddr.ts';
import { ChurnClient } from './churn.ts';
import { ClosedClient } from './closed.ts';
import type { LoadOptions } from './options.ts';
import { Pattern } from './pattern.ts';
import type { LoadResult } from './result.ts';
import type { Shared } from './session.ts';
import { Sources } from './sources.ts';
import { ERRORS_MAX, Tally } from './tally.ts';

/** A mode: what to do with the connections. A further mode needs this and a line in clientFor(). */
export interface Client {
  /** Begins to open the connections that must be open before the load. */
  connect(): void;
  /** Whether they all are, or have failed. */
  readonly ready: boolean;
  /** Begins the load. */
  start(nowMs: number): void;
  /** Whether the warm-up may end before its time. */
  warm(): boolean;
  /** Whether the window must end before its time. */
  exhausted(): boolean;
  /** Begins nothing new from here on. */
  stop(): void;
  /** Samples begun and not ended. */
  outstanding(): number;
  /** An event of a descriptor in the epoll set. */
  event(fd: number, bits: number): void;
  /** Counts what is still outstanding as timed out, and closes everything. */
  finish(): void;
}

const EVENTS_MAX = 512;
// Only bounds how late a deadline is noticed while nothing arrives.
const WAIT_MAX_MS = 50;

function clientFor(options: LoadOptions, shared: Shared): Client {
  if (options.mode === 'churn') return new ChurnClient(shared, options.connections, options.maxConnections);
  return new ClosedClient(shared, options.connections);
}

class Driver {
  private readonly events = new EventList(EVENTS_MAX);
  private readonly client: Client;
  private readonly shared: Shared;

  constructor(client: Client, shared: Shared) {
    this.client = client;
    this.shared = shared;
  }

  /** Handles events until `done`, for at most `durationMs`, or until there were too many errors. */
  pump(durationMs: number, done: () => boolean): void {
    const { client, events, shared } = this;
    const deadlineMs = performance.now() + durationMs;
    for (;;) {
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0 || shared.tally.errorCount >= ERRORS_MAX || done()) return;
      const n = epollWait(shared.epfd, events, Math.ceil(Math.min(leftMs, WAIT_MAX_MS)));
      for (let i = 0; i < n; i++) client.event(events.fd(i), events.events(i));
    }
  }
}

/** One whole run. Failures of connections are counted in the result, not thrown. */
export function drive(options: LoadOptions): LoadResult {
  const tally = new Tally(options);
  const shared: Shared = {
    epfd: epollCreate(),
    target: encodeSockaddr(options.address, options.port),
    sources: new Sources(options.address, options.mode === 'churn' ? options.maxConnections : 0),
    pattern: new Pattern(options.messageBytes),
    tally,
  };
  const client = clientFor(options, shared);
  const driver = new Driver(client, shared);

  client.connect();
  driver.pump(options.timeoutMs, () => client.ready);
  if (client.ready) {
    client.start(performance.now());
    driver.pump(options.warmupMs, () => client.warm());
    tally.begin();
    driver.pump(options.durationMs, () => client.exhausted());
    tally.end();
    client.stop();
    driver.pump(options.timeoutMs, () => client.outstanding() === 0);
  }
  client.finish();
  return tally.result();
}
