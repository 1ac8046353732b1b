/**
 * How long connections wait for a worker: measured where a worker begins with one.
 */
import { elapsedUs, Latency, momentUs, record } from '../src/memory/latency.ts';
import { ACCEPTED_US, type SharedState } from '../src/memory/layout.ts';

/** A worker begins with a connection: how long ago it was accepted, if that is to be measured. */
export function noteDispatched(shared: SharedState, id: number, fd: number): void {
  const { conns } = shared;
  const accepted = shared.connWord(fd, ACCEPTED_US);
  const acceptedUs = conns[accepted] as number;
  if (acceptedUs === 0) return;
  conns[accepted] = 0;
  record(shared, id, Latency.dispatch, elapsedUs(acceptedUs, momentUs()));
}
