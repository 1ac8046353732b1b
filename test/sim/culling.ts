/**
 * Culling after a burst: items that sleep make cmwq create workers; then the load ends.
 */
import { Sim } from '../../bench/sim/sim.ts';
import { workerStates } from '../../src/pool/roster.ts';
import { Ledger } from './ledger.ts';
import { Sessions } from './sessions.ts';

const IDLE_TIMEOUT_MS = 1000;
/** The last item of the burst has ended by then. */
const BURST_MS = 50;

export interface Culling {
  /** Workers culled before any worker of the burst has been idle for the timeout. */
  tooEarly: number;
  /** Workers still idle long afterwards. */
  idle: number;
}

export async function cullAfterBurst(seed: number, connections: number): Promise<Culling> {
  const sim = new Sim({
    seed,
    cpus: 2,
    fdLimit: 40,
    maxWorkers: connections + 4,
    idleTimeoutMs: IDLE_TIMEOUT_MS,
    cutIn: 0.05,
  });
  const { scheduler } = sim;
  new Ledger(sim);
  const service = { cpuIntensive: false, steps: [{ kind: 'sleep', durationMs: 40 } as const] };
  const plan = { service, openMs: 0, requests: 1, gapMs: 0, closedLoop: true };
  const sessions = new Sessions(new Array(connections).fill(plan), sim);
  await sim.start();
  for (const { number } of sessions.all) sessions.openAfter(0, number);
  const culling = { tooEarly: 0, idle: 0 };
  scheduler.after(IDLE_TIMEOUT_MS, () => {
    culling.tooEarly = sim.cmwq.stats().threads.culled;
  });
  scheduler.after(BURST_MS + 3 * IDLE_TIMEOUT_MS, () => {
    culling.idle = workerStates(sim.shared).idle;
  });
  sim.run();
  if (sim.cmwq.stats().threads.culled < connections / 2) throw new Error('the burst made too few workers');
  return culling;
}
