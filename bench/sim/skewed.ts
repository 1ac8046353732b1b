/**
 * Simulates a cmwq server whose busy connections are all in some of its CPU pools: how many move, how long it takes, and
 * how evenly the pools work afterwards.
 *
 * Each CPU pool gets connections of its own; those of the first pools (`busy`) speak, the others are silent. A speaker
 * sends its next request GAP_MS after an answer; a request burns BURN_MS, more or less, so that the pools do not work in step.
 * Each CPU pool has a core.
 */
import { MOVED_OUT } from '../../src/memory/layout.ts';
import { jainIndex } from '../fairness.ts';
import type { Peers, SimService } from './peers.ts';
import { Sim } from './sim.ts';

const BURN_MS = 1;
const GAP_MS = 0.05;
const BURN_VARIES = 0.1;
const FIRST_FD = 3;
const CREATE_MS = 30;
/** The server's default for --max-workers. */
const MAX_WORKERS = 512;
/** Looked at so often. */
const LOOK_MS = 10;
/** Share of the time after which the last quarter begins. */
const LATE_FROM = 0.75;

export interface SkewedOptions {
  seed: number;
  cpus: number;
  /** CPU pools whose connections speak. */
  busy: number;
  /** Connections of each CPU pool. */
  connections: number;
  virtualMs: number;
  /** Events that a worker takes at a time; absent: one. */
  batch?: number;
  /** Absent: BURN_MS. */
  service?: SimService;
  /** False: connections stay in their CPU pools. */
  moves?: boolean;
}

export interface SkewedResult {
  moved: number;
  /** From the first request to the last move. */
  balancedMs: number;
  /** Answers per CPU pool in the last quarter of the time. */
  answers: number[];
  /** Jain's index of these, 1 = all equal. */
  jain: number;
  /** Speakers in the CPU pool that has the most, at the end. */
  most: number;
  /** Moves in the last quarter. */
  movedLate: number;
  /** Processors at work in the last quarter, on average; with a service of its own meaningless. */
  atWork: number;
}

class Speakers implements Peers {
  /** Per CPU pool. */
  answers: number[];
  private readonly sim: Sim;
  private readonly used: SimService | undefined;
  private readonly pending: Uint8Array;
  private readonly speaking = new Set<number>();

  constructor(sim: Sim, used: SimService | undefined) {
    this.sim = sim;
    this.used = used;
    this.pending = new Uint8Array(sim.options.fdLimit);
    this.answers = this.noAnswers();
    sim.connect(this);
  }

  noAnswers(): number[] {
    return new Array<number>(this.sim.options.cpus).fill(0);
  }

  /** How many speakers each CPU pool has. */
  perPool(): number[] {
    const counts = new Array<number>(this.sim.options.cpus).fill(0);
    for (const fd of this.speaking) {
      const pool = this.sim.main.poolOf(fd);
      counts[pool] = (counts[pool] as number) + 1; // a pool of this server
    }
    return counts;
  }

  ask(fd: number): void {
    this.speaking.add(fd);
    this.pending[fd] = 1;
    this.sim.worklists.arrived(fd);
  }

  readable(fd: number): boolean {
    return this.pending[fd] !== 0;
  }

  receive(fd: number): 'request' | 'again' {
    if (!this.readable(fd)) return 'again';
    this.pending[fd] = 0;
    return 'request';
  }

  answered(fd: number): void {
    const pool = this.sim.main.poolOf(fd);
    this.answers[pool] = (this.answers[pool] as number) + 1; // a pool of this server
    this.sim.scheduler.after(GAP_MS, () => this.ask(fd));
  }

  service(): SimService {
    if (this.used !== undefined) return this.used;
    const durationMs = BURN_MS * (1 + BURN_VARIES * (2 * this.sim.random.next() - 1));
    return { cpuIntensive: false, steps: [{ kind: 'burn', durationMs }] };
  }

  closed(): void {}
}

export async function runSkewed(options: SkewedOptions): Promise<SkewedResult> {
  const { seed, cpus, busy, connections, virtualMs, batch = 1, service, moves = true } = options;
  const all = cpus * connections;
  const sim = new Sim({
    seed,
    cpus,
    fdLimit: all + FIRST_FD,
    maxWorkers: MAX_WORKERS,
    createMs: CREATE_MS,
    batch,
    ...(moves ? {} : { makeBalance: () => null }),
  });
  const { scheduler, main } = sim;
  const speakers = new Speakers(sim, service);
  await sim.start();
  const startMs = scheduler.nowMs;
  let moved = 0;
  let lastMoveMs = startMs;
  let movedBefore = 0;
  const look = () => {
    const now = movedOut(sim);
    if (now > moved) lastMoveMs = scheduler.nowMs;
    moved = now;
    scheduler.after(LOOK_MS, look);
  };
  main.post(() => {
    for (let i = 0; i < all; i++) main.accept(() => {});
    for (const fd of main.fds) if (main.poolOf(fd) < busy) speakers.ask(fd);
    look();
  });
  scheduler.after(virtualMs * LATE_FROM, () => {
    speakers.answers = speakers.noAnswers();
    movedBefore = movedOut(sim);
  });
  scheduler.after(virtualMs, () => scheduler.stop());
  sim.run();
  const { answers } = speakers;
  return {
    moved,
    balancedMs: lastMoveMs - startMs,
    answers,
    jain: jainIndex(answers),
    most: Math.max(...speakers.perPool()),
    movedLate: movedOut(sim) - movedBefore,
    atWork: (answers.reduce((sum, number) => sum + number, 0) * BURN_MS) / (virtualMs * (1 - LATE_FROM)),
  };
}

function movedOut({ shared, options }: Sim): number {
  let sum = 0;
  for (let pool = 0; pool < options.cpus; pool++)
    sum += shared.words[shared.poolWord(pool, MOVED_OUT)] as number;
  return sum;
}
