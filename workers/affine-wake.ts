/**
 * Wakes a worker on the processor of the one that is about to sleep, where the kernel's workqueues run it too: elsewhere
 * it starts later, and on an idle processor that must be woken first (measured with two processors: a tenth of their time
 * lost between a sleep and the next item).
 *
 * One for each worker's thread. The sleeper binds the idle worker to its own processor, wakes it, so that the kernel queues
 * it there, and frees it at once: a worker that stayed bound until it ran would wait behind other processes while another
 * processor is idle (beside four busy ones an eighth of the rate, 0 to 60 %).
 *
 *   sleeper                                  idle worker B               another kicker
 *   ------------------------------------     ------------------------    ------------------------
 *   BOUND of B ++; binds B                                               CAS B.state: Idle -> OnDuty
 *   CAS B.state: Idle -> OnDuty, notify      awake; BOUND > 0? frees
 *   frees B; BOUND of B --                   itself
 *
 * Each sleeper frees B after it has bound it, whichever thread has woken B. BOUND is for a sleeper that dies in between:
 * from then on B frees itself whenever it is woken. It is a count, since another sleeper may be binding B as well. If B
 * dies, the kernel refuses its number; it reuses one only after all others.
 *
 * "Free" is what main may use at that moment, so that a later `taskset -ap` holds. Where the system refuses these calls
 * (seccomp), there are no affine wakes; nor with affinity scope `cpu`, where a worker on duty binds itself.
 */
import type { WakeNear } from '../src/memory/kick.ts';
import { BOUND, type SharedState, tidOf } from '../src/memory/layout.ts';
import { affinityOf, type CpuMask, currentCpu, maskOf, setAffinity } from '../src/sys/affinity.ts';

export class AffineWake implements WakeNear {
  private readonly shared: SharedState;
  private readonly bound: number;
  /** Index = processor. */
  private readonly masks: CpuMask[] = [];
  private readonly all = maskOf(0);
  private readonly isAllowed: boolean;
  /** The thread that has been bound; 0 = none. */
  private tid = 0;

  constructor(shared: SharedState, id: number) {
    this.shared = shared;
    this.bound = shared.workerWord(id, BOUND);
    this.isAllowed = shared.config.affinityScope !== 'cpu' && this.free(0);
  }

  bind(id: number): void {
    const { shared, masks } = this;
    this.tid = this.isAllowed ? tidOf(shared, id) : 0;
    if (this.tid === 0) return;
    const cpu = currentCpu();
    masks[cpu] ??= maskOf(cpu);
    Atomics.add(shared.words, shared.workerWord(id, BOUND), 1);
    setAffinity(this.tid, masks[cpu]);
  }

  unbind(id: number): void {
    const { shared } = this;
    if (this.tid === 0) return;
    this.free(this.tid);
    Atomics.sub(shared.words, shared.workerWord(id, BOUND), 1);
  }

  /** The calling worker has been woken. */
  freeOwn(): void {
    if (Atomics.load(this.shared.words, this.bound) !== 0) this.free(0);
  }

  private free(tid: number): boolean {
    return affinityOf(process.pid, this.all) !== null && setAffinity(tid, this.all);
  }
}
