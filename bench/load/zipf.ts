/**
 * Open mode in which a few connections carry most of the load: each request is for a certain connection, and the share
 * of the connection of rank k is proportional to 1/k (Zipf's law, exponent 1). The seed decides the ranks and the order.
 *
 * Open, because only an intended rate fixes the shares: in a closed loop a connection sends when it has its answer, so
 * the server that answers the frequent ones late would lower their share. A request whose connection is busy waits for
 * it, and its response time counts from the time at which it was due.
 */
import { seededRandom, shuffled } from '../random.ts';
import type { Shared } from './client.ts';
import { OpenClient, type OpenOptions } from './open.ts';
import type { Session } from './session.ts';

/** Draws ranks from 0 to `count` - 1 with shares proportional to 1, 1/2, 1/3, ... */
export function zipfRanks(count: number, random: () => number): () => number {
  const sums = new Float64Array(count);
  for (let rank = 0, sum = 0; rank < count; rank++) sums[rank] = sum += 1 / (rank + 1);
  const total = sums.at(-1) ?? 0;
  return () => {
    const at = random() * total;
    let [low, high] = [0, count - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      // middle < count
      if ((sums[middle] as number) > at) high = middle;
      else low = middle + 1;
    }
    return low;
  };
}

interface Lane {
  session: Session;
  /** When requests that wait for it were due. */
  waiting: number[];
}

export class ZipfClient extends OpenClient {
  private readonly random: () => number;
  /** By rank. */
  private lanes: Lane[] = [];
  private readonly laneOf = new Map<Session, Lane>();
  private nextRank = () => 0;

  constructor(shared: Shared, options: OpenOptions) {
    super(shared, options);
    this.random = seededRandom(options.seed);
  }

  override start(nowMs: number): void {
    super.start(nowMs);
    const sessions = this.byFd.filter((session) => session !== undefined);
    this.lanes = shuffled(sessions, this.random).map((session) => ({ session, waiting: [] }));
    for (const lane of this.lanes) this.laneOf.set(lane.session, lane);
    this.nextRank = zipfRanks(this.lanes.length, this.random);
  }

  /** Requests that the warm-up could not send are dropped. */
  override measure(nowMs: number): void {
    super.measure(nowMs);
    for (const lane of this.lanes) lane.waiting = [];
  }

  protected override giveUp(): void {
    super.giveUp();
    this.giveUpWaiting();
  }

  private giveUpWaiting(): void {
    const nowMs = performance.now();
    for (const lane of this.lanes)
      for (const dueMs of lane.waiting.splice(0)) this.shared.tally.neverSent(dueMs, nowMs);
  }

  override finish(cutShort: boolean): void {
    this.giveUpWaiting();
    super.finish(cutShort);
  }

  override outstanding(): number {
    const kept = this.lanes.reduce(
      (sum, { session, waiting }) => sum + (session.fd < 0 ? 0 : waiting.length),
      0,
    );
    return super.outstanding() + kept;
  }

  /** Every request is taken; one whose connection is lost is never sent. */
  protected override take(intendedMs: number, nowMs: number): boolean {
    const lane = this.lanes[this.nextRank()];
    if (lane === undefined) return false;
    if (lane.session.busy || lane.session.fd < 0) lane.waiting.push(intendedMs);
    else this.send(lane.session, intendedMs, nowMs);
    return true;
  }

  protected override freed(session: Session, nowMs: number): void {
    const intendedMs = this.laneOf.get(session)?.waiting.shift();
    if (intendedMs !== undefined) this.send(session, intendedMs, nowMs);
  }
}
