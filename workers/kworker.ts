/**
 * Entry of cmwq's threads: the tasks that Piscina runs there.
 *
 * `kworker` is one long task: sleep until kicked, be on duty for a CPU pool, sleep again.
 * `rescuer` sleeps until a mayday and takes the slots of pools that have no worker.
 *
 * A thread removes an ended connection from the worklist and shuts it down; main closes it. It sleeps in epoll_wait or
 * Atomics.wait.
 */
import { ring } from '../src/memory/completions.ts';
import { beginDuty, endDuty } from '../src/memory/cpu-time.ts';
import { firstIdle, goIdle, kick, noteAwake } from '../src/memory/kick.ts';
import {
  addTo,
  MAYDAY,
  poolOf,
  RESCUED,
  RESCUER_ID,
  STARTED,
  stateIn,
  stateOf,
  TASK,
  WorkerState,
} from '../src/memory/layout.ts';
import { MAYDAY_INTERVAL_MS } from '../src/memory/predicates.ts';
import { grantSlot, SLOT_FREE, slotWanted } from '../src/memory/run-slot.ts';
import { monotonicMs } from '../src/sys/clock.ts';
import { threadCpuMs } from '../src/sys/cpu-clock.ts';
import { AffineWake } from './affine-wake.ts';
import { ffiCalls } from './calls-ffi.ts'; // before the thread claims its id: see thread.ts
import { Duty, WAIT_SLICE_MS } from './duty.ts';
import { exitThreadOnError } from './exit-thread.ts';
import { runOnProcessorOf } from './processor.ts';
import { id, makeEcho, serviceOf, services, shared, state, stopping } from './thread.ts';

const { words, doubles } = shared;
const echo = makeEcho(ffiCalls, sleepOutsideSlot);
const isCpuIntensive = (fd: number) => serviceOf(fd)?.cpuIntensive === true;
const affineWake = new AffineWake(shared, id);
const mayLeaveAtStart = services.some((spec) => spec.cpuIntensive);
const duty = new Duty(shared, id, echo, affineWake, mayLeaveAtStart ? isCpuIntensive : null);
ring(shared);

function sleepOutsideSlot<T>(sleep: () => T): T {
  return duty.sleepOutsideSlot(sleep);
}

export { end } from './thread.ts';

/** Works until it is retired or the server stops. `task` is the number of this task. */
export function kworker(task: number): Promise<never> | undefined {
  return exitThreadOnError(() => {
    Atomics.store(words, shared.workerWord(id, TASK), task);
    work();
  });
}

/** Created at the start; never idle, so kicks do not reach it. */
export function rescuer(): Promise<never> | undefined {
  return exitThreadOnError(rescue);
}

function work(): void {
  for (let cpuMs = threadCpuMs(); ; ) {
    const pool = sleepUntilKicked();
    if (pool < 0) break;
    runOnProcessorOf(pool);
    beginDuty(shared, id, cpuMs);
    duty.run(pool);
    cpuMs = threadCpuMs();
    endDuty(shared, id, pool, cpuMs);
  }
  Atomics.store(words, state, WorkerState.Retired);
  ring(shared);
}

/** Idles until kicked. Returns the CPU pool to be on duty for, or -1 to end. */
function sleepUntilKicked(): number {
  goIdle(shared, id, monotonicMs());
  while (!stopping() && Atomics.load(words, state) === WorkerState.Idle) waitSlice(state, WorkerState.Idle);
  affineWake.freeOwn();
  noteAwake(shared, id);
  const word = Atomics.load(words, state);
  // Not at a stop: it would give up the slot, go idle and kick itself while a connection is open.
  return !stopping() && stateOf(word) === WorkerState.OnDuty ? poolOf(word) : -1;
}

/** A separate function, for the same reason as epollWait. */
function waitSlice(index: number, value: number): void {
  Atomics.wait(words, index, value, WAIT_SLICE_MS);
}

function rescue(): void {
  Atomics.store(words, state, WorkerState.Rescuer);
  Atomics.store(words, RESCUER_ID, id);
  ring(shared);
  while (!stopping()) {
    if (Atomics.compareExchange(words, MAYDAY, 1, 0) === 1) rescueAll();
    else waitSlice(MAYDAY, 0);
  }
}

/**
 * Runs the items of every pool without a worker, while no idle worker could: first what is ready, then what comes within
 * MAYDAY_INTERVAL, so that no pool waits long behind silent ones.
 */
function rescueAll(): void {
  const { cpus } = shared.config;
  for (const waitMs of [0, Math.ceil(MAYDAY_INTERVAL_MS / cpus)]) {
    for (let pool = 0; pool < cpus && !stopping(); pool++) {
      if (firstIdle(shared) === 0 && slotWanted(shared, pool)) rescuePool(pool, waitMs);
    }
  }
  ring(shared);
}

function rescuePool(pool: number, waitMs: number): void {
  Atomics.store(words, state, stateIn(WorkerState.OnDuty, pool));
  if (grantSlot(shared, pool, id) !== SLOT_FREE) {
    const before = doubles[shared.workerDouble(id, STARTED)] as number;
    runOnProcessorOf(pool);
    beginDuty(shared, id, threadCpuMs());
    duty.rescue(pool, waitMs);
    endDuty(shared, id, pool, threadCpuMs());
    const items = (doubles[shared.workerDouble(id, STARTED)] as number) - before;
    addTo(doubles, shared.workerDouble(id, RESCUED), items);
  }
  Atomics.store(words, state, WorkerState.Rescuer);
  kick(shared, pool); // a regular worker may have started meanwhile
}
