/**
 * A burst of items that sleep makes workers; afterwards nothing happens: how many stay, and for how long.
 */
import { Sim } from '../../bench/sim/sim.ts';
import { workerStates } from '../../src/pool/roster.ts';
import { Ledger } from './ledger.ts';
import { Sessions } from './sessions.ts';

export const IDLE_TIMEOUT_MS = 1000;
/** When the last item of the burst is over. */
const BURST_MS = 50;

/** Idle workers just before the idle timeout of those that were in the burst, and long after it. */
export async function idleWorkers(
  seed: number,
  connections: number,
): Promise<{ before: number; after: number }> {
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
  const idle = { before: 0, after: 0 };
  const count = () => workerStates(sim.shared).idle;
  scheduler.after(IDLE_TIMEOUT_MS, () => {
    idle.before = count();
  });
  scheduler.after(BURST_MS + 3 * IDLE_TIMEOUT_MS, () => {
    idle.after = count();
  });
  sim.run();
  return idle;
}
