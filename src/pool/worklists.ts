/**
 * What waits in the worklists of cmwq: connections that are ready and in no item, and for how long.
 *
 * Any thread, and only for a status. A wait would change the order of an epoll instance's ready list, so poll(2) is
 * asked about all connections at once, and TCP about those that are ready: about 1 us for each (measured), so it
 * is not done with more than MAX_CONNECTIONS. Looking changes nothing; a descriptor that is closed meanwhile, or reused,
 * puts a figure out by one.
 */
import {
  CloseReason,
  CONN_ID,
  CONNECTIONS_HIGH,
  ITEM_FD,
  REASON,
  type SharedState,
  STOP,
  WORKERS_HIGH,
} from '../memory/layout.ts';
import { placeOf, poolInPlace } from '../memory/move.ts';
import { awaitsRoom } from '../memory/spill.ts';
import type { WorklistStatus } from '../schema/status.ts';
import { unreadForMs } from '../sys/connection.ts';
import { PollSet } from '../sys/poll-set.ts';

export const MAX_CONNECTIONS = 2000;

const connections = new PollSet(MAX_CONNECTIONS);

/** By CPU pool, empty for a stopped server; null with too many connections. */
export function worklistFigures(shared: SharedState): WorklistStatus[] | null {
  const { cpus } = shared.config;
  const worklists = Array.from({ length: cpus }, () => ({ waiting: 0, longestMs: 0 }));
  if (cpus === 0 || Atomics.load(shared.words, STOP) === 1) return worklists;
  if (!watchConnections(shared)) return null;
  connections.poll((fd) => {
    const worklist = worklists[poolInPlace(placeOf(shared, fd))];
    if (worklist === undefined) return;
    worklist.waiting++;
    worklist.longestMs = Math.max(worklist.longestMs, unreadForMs(fd));
  });
  return worklists;
}

/** Takes the open connections that are in no item. False: there are too many. */
function watchConnections(shared: SharedState): boolean {
  const inItem = new Set<number>();
  const workers = Atomics.load(shared.words, WORKERS_HIGH);
  for (let id = 1; id <= workers; id++)
    inItem.add(Atomics.load(shared.words, shared.workerWord(id, ITEM_FD)));
  const high = Atomics.load(shared.words, CONNECTIONS_HIGH);
  connections.clear();
  for (let fd = 1; fd <= high; fd++) {
    if (!isOpen(shared, fd) || inItem.has(fd)) continue;
    if (!connections.add(fd, awaitsRoom(shared, fd) ? 'writable' : 'readable')) return false;
  }
  return true;
}

function isOpen(shared: SharedState, fd: number): boolean {
  if (shared.connDoubles[shared.connDouble(fd, CONN_ID)] === 0) return false;
  return Atomics.load(shared.conns, shared.connWord(fd, REASON)) === CloseReason.Open;
}
