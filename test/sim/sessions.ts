/**
 * The peers: when a connection opens, when its requests and its FIN arrive, and whether its answers come in order.
 *
 * A session is one connection, numbered from 0. The next session that opens reuses the descriptor that main closed
 * last.
 */
import type { Peers, SimService } from '../../bench/sim/peers.ts';
import type { Scheduler } from '../../bench/sim/scheduler.ts';
import type { Sim } from '../../bench/sim/sim.ts';

export interface SessionPlan {
  service: SimService;
  openMs: number;
  requests: number;
  /** Between two requests, and before the FIN. */
  gapMs: number;
  /** Whether a request waits for the answer to the one before. */
  closedLoop: boolean;
}

interface Session {
  readonly plan: SessionPlan;
  readonly number: number;
  fd: number;
  arrived: number;
  received: number;
  answers: number;
  finished: boolean;
  /** How main closed it: after EOF, or because its worker died. */
  closed: 'eof' | 'lost' | null;
}

export class Sessions implements Peers {
  readonly all: Session[];
  private readonly sim: Sim;
  private readonly scheduler: Scheduler;
  private readonly byFd = new Map<number, Session>();
  /** Whether the first requests wait for `arriveTogether`. */
  private readonly isTogether: boolean;

  constructor(plans: readonly SessionPlan[], sim: Sim, isTogether = false) {
    this.sim = sim;
    this.scheduler = sim.scheduler;
    this.isTogether = isTogether;
    sim.connect(this);
    this.all = plans.map((plan, number) => {
      return { plan, number, fd: 0, arrived: 0, received: 0, answers: 0, finished: false, closed: null };
    });
  }

  /** The session of an open descriptor. */
  at(fd: number): Session {
    const session = this.byFd.get(fd);
    if (session === undefined) throw new Error(`descriptor ${fd} is not open`);
    return session;
  }

  openAfter(ms: number, number: number): void {
    const { main, scheduler } = this.sim;
    scheduler.after(ms, () => main.post(() => main.accept((fd) => this.opened(number, fd))));
  }

  /** The first requests of all sessions arrive now, in order. */
  arriveTogether(): void {
    for (const session of this.all) this.arrive(session);
  }

  /** Main has accepted the connection. */
  private opened(number: number, fd: number): void {
    const session = this.all[number];
    if (session === undefined) throw new RangeError(`no session ${number}`);
    session.fd = fd;
    this.byFd.set(fd, session);
    if (this.isTogether) return;
    if (session.plan.requests === 0) this.scheduler.after(session.plan.gapMs, () => this.finish(session));
    else this.scheduler.after(0, () => this.arrive(session));
  }

  closed(fd: number, how: 'eof' | 'lost'): void {
    const session = this.at(fd);
    if (session.closed !== null) throw new Error(`descriptor ${fd} is closed twice`);
    session.closed = how;
    this.byFd.delete(fd);
  }

  readable(fd: number): boolean {
    const { arrived, received, finished } = this.at(fd);
    return arrived > received || finished;
  }

  receive(fd: number): 'request' | 'end' | 'again' {
    const session = this.at(fd);
    if (session.arrived === session.received) return session.finished ? 'end' : 'again';
    if (session.answers !== session.received) throw new Error(`${fd}: a request is unanswered`);
    session.received++;
    return 'request';
  }

  answered(fd: number): void {
    const session = this.at(fd);
    if (++session.answers !== session.received) throw new Error(`${fd}: an answer out of order`);
    if (session.plan.closedLoop) this.next(session);
  }

  service(fd: number): SimService {
    return this.at(fd).plan.service;
  }

  private arrive(session: Session): void {
    if (session.closed !== null) return;
    session.arrived++;
    this.sim.worklists.arrived(session.fd);
    if (!session.plan.closedLoop) this.next(session);
  }

  private next(session: Session): void {
    const { requests, gapMs } = session.plan;
    const next = session.arrived < requests ? () => this.arrive(session) : () => this.finish(session);
    this.scheduler.after(gapMs, next);
  }

  /** The FIN arrives: after all requests, answered or not. */
  private finish(session: Session): void {
    if (session.closed !== null) return;
    session.finished = true;
    this.sim.worklists.arrived(session.fd);
  }
}
