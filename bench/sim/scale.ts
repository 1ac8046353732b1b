/**
 * Simulates a cmwq server of any size: how long placing connections takes, how often run slots change hands, how evenly
 * connections are served.
 *
 * First all connections are placed, each with two requests pending. A request burns 0.01 ms; on a quarter of the
 * connections it then sleeps 0.2 ms. There are infinitely many cores, so the results show order and hand-offs, not a
 * machine's speed. The run ends when every request is answered; nothing else is checked.
 */
import { CONNECTIONS, type ServiceSpec, STARTED, WORKERS_HIGH } from '../../src/memory/layout.ts';
import type { Peers } from './peers.ts';
import { Sim } from './sim.ts';

const REQUESTS = 2;
const FIRST_FD = 3;
const BURNS: ServiceSpec = { cpuIntensive: false, steps: [{ kind: 'burn', durationMs: 0.01 }] };
const SLEEPS: ServiceSpec = {
  cpuIntensive: false,
  steps: [
    { kind: 'burn', durationMs: 0.01 },
    { kind: 'sleep', durationMs: 0.2 },
  ],
};
/** Creating a thread was measured at 25-35 ms. */
const CREATE_MS = 30;
/** The server's default for --max-workers. */
const MAX_WORKERS = 512;

export interface ScaleResult {
  cpus: number;
  connections: number;
  /** Real time. */
  placeMs: number;
  handOffsPerItem: number;
  /** Difference between the most and the fewest connections of a pool. */
  spread: number;
  /** Jain's index of the times between a connection's first and second turn, 1 = all equal. */
  jain: number;
  /** Ratio of the longest of these times to the shortest. */
  longestToShortest: number;
  /** Most threads at a time, including the rescuer. */
  threads: number;
  /** Virtual time until the last answer. */
  virtualMs: number;
}

/** Peers that send all their requests at once and never close. */
class Crowd implements Peers {
  private readonly received: Uint8Array;
  private readonly firstTurnMs: Float64Array;
  private readonly nowMs: () => number;
  private readonly onAnswered: () => void;
  private unanswered: number;
  private turns = 0;
  private sum = 0;
  private sumOfSquares = 0;
  private shortestMs = Number.POSITIVE_INFINITY;
  private longestMs = 0;

  constructor(connections: number, nowMs: () => number, onAnswered: () => void) {
    this.received = new Uint8Array(connections + FIRST_FD);
    this.firstTurnMs = new Float64Array(connections + FIRST_FD);
    this.unanswered = connections * REQUESTS;
    this.nowMs = nowMs;
    this.onAnswered = onAnswered;
  }

  get jain(): number {
    return this.sumOfSquares === 0 ? 1 : this.sum ** 2 / (this.turns * this.sumOfSquares);
  }

  get longestToShortest(): number {
    return this.longestMs / this.shortestMs;
  }

  readable(fd: number): boolean {
    return (this.received[fd] as number) < REQUESTS;
  }

  receive(fd: number): 'request' | 'again' {
    const before = this.received[fd] as number;
    if (before === REQUESTS) return 'again';
    this.received[fd] = before + 1;
    if (before === 0) this.firstTurnMs[fd] = this.nowMs();
    else this.noteTurn(this.nowMs() - (this.firstTurnMs[fd] as number));
    return 'request';
  }

  answered(): void {
    if (--this.unanswered === 0) this.onAnswered();
  }

  service(fd: number): ServiceSpec {
    // Hashed: every fourth in turn would put all sleepers into the same pools.
    return Math.imul(fd, 0x9e37_79b1) >>> 30 === 0 ? SLEEPS : BURNS;
  }

  closed(): void {}

  private noteTurn(ms: number): void {
    this.turns++;
    this.sum += ms;
    this.sumOfSquares += ms * ms;
    this.shortestMs = Math.min(this.shortestMs, ms);
    this.longestMs = Math.max(this.longestMs, ms);
  }
}

export async function runScale(
  cpus: number,
  connections: number,
  seed: number,
  batch: number,
): Promise<ScaleResult> {
  const sim = new Sim({
    seed,
    cpus,
    fdLimit: connections + FIRST_FD,
    maxWorkers: MAX_WORKERS,
    threshMs: 10,
    batch,
    createMs: CREATE_MS,
  });
  const { scheduler, main, shared } = sim;
  const crowd = new Crowd(
    connections,
    () => scheduler.nowMs,
    () => scheduler.stop(),
  );
  sim.connect(crowd);
  let placeMs = 0;
  await sim.start();
  const startMs = scheduler.nowMs;
  const placeAll = () => {
    const beforeMs = performance.now();
    for (let i = 0; i < connections; i++) main.accept(() => {});
    placeMs = performance.now() - beforeMs;
  };
  main.post(placeAll);
  sim.run();
  const perPool = Array.from(
    { length: cpus },
    (_, pool) => shared.words[shared.poolWord(pool, CONNECTIONS)] as number,
  );
  return {
    cpus,
    connections,
    placeMs,
    handOffsPerItem: sim.handOffs / sim.total(STARTED),
    spread: Math.max(...perPool) - Math.min(...perPool),
    jain: crowd.jain,
    longestToShortest: crowd.longestToShortest,
    threads: shared.words[WORKERS_HIGH] as number,
    virtualMs: scheduler.nowMs - startMs,
  };
}
