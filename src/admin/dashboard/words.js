// @ts-check
/**
 * Texts for the server's identifiers. An unknown identifier is shown unchanged.
 */
import { moment } from './format.js';

/** @typedef {import('../../schema/status.ts').ServerEvent} ServerEvent */

/** @satisfies {Record<import('../../server/connections.ts').CloseName, string>} */
const CLOSED = {
  eof: 'ended by the client',
  error: 'connection error',
  keepalive: 'client silent: keepalive',
  userTimeout: 'client did not acknowledge',
  writeTimeout: 'client did not read: write timeout',
  socketTimeout: 'nothing sent: socket timeout',
  spillLimit: 'no buffer for the unsent data',
  cut: 'cut when the server stopped',
  workerDied: 'its worker died',
  handlerError: 'its handler failed',
};

/** @satisfies {Record<import('../../strategy/strategy.ts').RefusalReason, string>} */
const REFUSED = {
  maxConnections: 'too many connections',
  maxPerAddress: 'too many from one address',
  queueFull: 'queue full',
  queueAge: 'waited too long in the queue',
  noThread: 'no thread, and creation failed',
  descriptors: 'no descriptor left',
};

/** @satisfies {Record<import('../../log/events.ts').EventKind, string>} */
const EVENTS = {
  listening: 'listening',
  listeningLost: 'listening socket lost',
  draining: 'draining',
  threadMade: 'thread created',
  workerCulled: 'idle worker culled',
  workerDied: 'worker died',
  creationFailed: 'thread creation failed',
  slotTaken: 'run slot taken away: computed too long',
  mayday: 'rescuer called',
  hang: 'item hung',
  refused: 'connections refused',
};

/** @param {Readonly<Record<string, string>>} words @param {string} name */
const look = (words, name) => (Object.hasOwn(words, name) ? words[name] : undefined) ?? name;

/** @param {string} name of a close reason */
export const closedWords = (name) => look(CLOSED, name);
/** @param {string} name of a refusal reason */
export const refusedWords = (name) => look(REFUSED, name);
/** @param {string} kind of an event */
export const eventWords = (kind) => look(EVENTS, kind);

/** The details of an event: `worker 3, pool 0`. @param {ServerEvent} event */
export function plainDetail({ kind, detail }) {
  if (kind === 'listening' && typeof detail.address === 'string')
    return `${detail.address} port ${detail.port}`;
  if (kind === 'slotTaken') return takenDetail(detail);
  return Object.entries(detail)
    .filter(([, value]) => value !== false)
    .map(([name, value]) => {
      const words =
        kind === 'refused'
          ? refusedWords(name)
          : name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      return value === true ? words : value === 'running' ? value : `${words} ${value}`;
    })
    .join(', ');
}

/** @param {ServerEvent['detail']} detail */
function takenDetail({ worker, pool, times, since }) {
  const who = `worker ${worker} of pool ${pool}`;
  if (times === 1) return `from ${who}`;
  return `${times} times${typeof since === 'number' ? ` since ${moment(since)}` : ''}, last from ${who}`;
}

/**
 * Newest first; a run of events that the run slot was taken away is one, with their number, so that it leaves room for
 * others.
 * @param {readonly ServerEvent[]} events oldest first
 * @returns {ServerEvent[]}
 */
export function mergedEvents(events) {
  /** @type {ServerEvent[]} */
  const merged = [];
  for (const event of [...events].reverse()) {
    const newer = merged.at(-1);
    if (event.kind !== 'slotTaken' || newer?.kind !== 'slotTaken') merged.push(event);
    else {
      const times = Number(newer.detail.times) + Number(event.detail.times);
      merged[merged.length - 1] = { ...newer, detail: { ...newer.detail, times, since: event.atMs } };
    }
  }
  return merged;
}
