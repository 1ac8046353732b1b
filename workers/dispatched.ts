/**
 * Measures how long connections wait for a worker.
 */
import { elapsedUs, Latency, momentUs, record } from '../src/memory/latency.ts';
import { ACCEPTED_US, type SharedState } from '../src/memory/layout.ts';

/** Called when a worker begins with a connection: records the time since its accept, if it is in the sample. */
export function noteDispatched(shared: SharedState, id: number, fd: number): void {
  const { conns } = shared;
  const accepted = shared.connWord(fd, ACCEPTED_US);
  const acceptedUs = conns[accepted] as number;
  if (acceptedUs === 0) return;
  conns[accepted] = 0;
  record(shared, id, Latency.dispatch, elapsedUs(acceptedUs, momentUs()));
}
