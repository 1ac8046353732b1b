/**
 * Shrinks a failing script: leaves out operations and settings and halves sends while it still fails. Limited to
 * TRIES_MAX tries; `fails` limits the time.
 */
import type { Operation, Script } from './script.ts';

const TRIES_MAX = 60;

/** Variants without one operation; the last one, which closes, stays. */
function* without(script: Script): Generator<Script> {
  const { operations } = script;
  for (let i = operations.length - 2; i >= 0; i--) {
    yield { ...script, operations: operations.filter((_, j) => j !== i) };
  }
}

function shorter(operation: Operation): Operation | null {
  if (operation.do !== 'send' || operation.length < 2) return null;
  return { ...operation, length: operation.length >> 1 };
}

/** Variants with one send halved. */
function* halved(script: Script): Generator<Script> {
  for (const [i, operation] of script.operations.entries()) {
    const half = shorter(operation);
    if (half !== null) yield { ...script, operations: script.operations.with(i, half) };
  }
}

function* plain(script: Script): Generator<Script> {
  const { receiveBuffer, sendBuffer, segment } = script;
  if (receiveBuffer + sendBuffer + segment > 0)
    yield { ...script, receiveBuffer: 0, sendBuffer: 0, segment: 0 };
  if (!script.noDelay) yield { ...script, noDelay: true };
}

function* smaller(script: Script): Generator<Script> {
  yield* without(script);
  yield* plain(script);
  yield* halved(script);
}

export async function shrink(script: Script, fails: (script: Script) => Promise<boolean>): Promise<Script> {
  let smallest = script;
  let tries = 0;
  search: for (;;) {
    for (const candidate of smaller(smallest)) {
      if (++tries > TRIES_MAX) return smallest;
      if (!(await fails(candidate))) continue;
      smallest = candidate;
      continue search;
    }
    return smallest;
  }
}
