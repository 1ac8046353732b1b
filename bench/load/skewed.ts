/**
 * Closed mode in which half of the connections are silent, and the others are all in one event loop of the server (a CPU
 * pool of cmwq) at first.
 *
 * What decides where a server places a connection is its own affair, and may be random. So the generator opens
 * connections until one event loop has enough of them (event-loops.ts), makes these the speakers, keeps as many silent
 * ones, of other event loops first, and closes the rest before the load. Where connections are in no event loop, every
 * second one speaks.
 */
import type { Shared } from './client.ts';
import { ClosedClient } from './closed.ts';
import { type EventLoops, eventLoops } from './event-loops.ts';
import type { Session } from './session.ts';

/** Enough for ten connections in one of 512 event loops that are filled in turn. */
const OPENED_MAX = 8_192;

export interface SkewedServer {
  pids: readonly number[];
  port: number;
}

export class SkewedClient extends ClosedClient {
  private readonly server: SkewedServer;
  private readonly wanted: number;
  /** Chosen before the load. */
  private speakers: Session[] | null = null;
  private lastLook = '';

  constructor(shared: Shared, connections: number, requests: number, server: SkewedServer) {
    super(shared, connections, requests);
    this.server = server;
    this.wanted = connections;
  }

  override get ready(): boolean {
    return this.speakers !== null;
  }

  override tick(nowMs: number): void {
    super.tick(nowMs);
    if (this.speakers === null && super.ready) this.choose();
  }

  private choose(): void {
    const found = eventLoops(this.server.pids, this.server.port);
    if (!this.isSettled(found)) return;
    const open = this.byFd.filter((session) => session !== undefined && session.fd >= 0) as Session[];
    const chosen = speakersAmong(open, found.loops, Math.ceil(this.wanted / 2));
    if (chosen === null) {
      this.openMore(open.length);
      return;
    }
    this.speakers = chosen.speakers;
    const kept = new Set([...chosen.speakers, ...chosen.silent.slice(0, Math.floor(this.wanted / 2))]);
    for (const session of open) if (!kept.has(session)) this.closeUnused(session);
  }

  /** The server has accepted all, and placed what it has accepted: two looks, 50 ms apart, show the same. */
  private isSettled(found: EventLoops): boolean {
    const look = JSON.stringify(found);
    const same = look === this.lastLook;
    this.lastLook = look;
    return same && found.accepted >= this.live;
  }

  private openMore(open: number): void {
    if (2 * open > OPENED_MAX) return; // run-load.ts gives up, and finish() says why
    this.connections += open;
    this.connect();
  }

  private closeUnused(session: Session): void {
    session.close();
    this.countLost(false);
  }

  protected override senders(): readonly Session[] {
    return this.speakers ?? [];
  }

  override finish(cutShort: boolean): void {
    if (this.speakers === null && this.live > 0 && !cutShort) {
      this.shared.tally.error(
        'other',
        `no event loop of the server has ${Math.ceil(this.wanted / 2)} connections`,
      );
    }
    super.finish(cutShort);
  }
}

type Connection = Pick<Session, 'localPort'>;

/**
 * `number` speakers of one event loop, and all other connections, those of other event loops first. Null: no event loop
 * has as many.
 */
export function speakersAmong<T extends Connection>(
  open: readonly T[],
  loops: EventLoops['loops'],
  number: number,
): { speakers: T[]; silent: T[] } | null {
  const [largest] = loops.toSorted((a, b) => b.length - a.length);
  const ports = new Set(largest);
  const eligible = open.filter(({ localPort }, i) =>
    largest === undefined ? i % 2 === 0 : ports.has(localPort),
  );
  if (eligible.length < number) return null;
  const isEligible = new Set(eligible);
  const others = open.filter((connection) => !isEligible.has(connection));
  return { speakers: eligible.slice(0, number), silent: [...others, ...eligible.slice(number)] };
}
