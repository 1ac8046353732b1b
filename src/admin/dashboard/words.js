// @ts-check
/**
 * The server's short names in words. A name that this page does not know is shown as it is.
 */

/** @typedef {import('../../schema/status.ts').ServerEvent} ServerEvent */

/** @satisfies {Record<import('../../server/connections.ts').CloseName, string>} */
const CLOSED = {
  eof: 'ended by the client',
  error: 'error of the connection',
  keepalive: 'client silent: keepalive',
  userTimeout: 'client did not acknowledge',
  writeTimeout: 'client did not read: write timeout',
  socketTimeout: 'nothing sent: socket timeout',
  spillLimit: 'no buffer for the unsent rest',
  cut: 'cut when the server stopped',
  workerDied: 'its worker died',
};

/** @satisfies {Record<import('../../strategy/strategy.ts').RefusalReason, string>} */
const REFUSED = {
  maxConnections: 'too many connections',
  maxPerAddress: 'too many from one address',
  queueFull: 'queue full',
  queueAge: 'waited too long in the queue',
  noThread: 'no thread, and none can be made',
  draining: 'server is draining',
  descriptors: 'no descriptor left',
};

/** @satisfies {Record<import('../../log/events.ts').EventKind, string>} */
const EVENTS = {
  listening: 'listening',
  listeningLost: 'listening socket lost',
  draining: 'draining',
  threadMade: 'thread made',
  workerCulled: 'idle worker culled',
  workerDied: 'worker died',
  creationFailed: 'no thread could be made',
  slotTaken: 'run slot taken',
  mayday: 'rescuer called',
  hang: 'item hangs',
  refused: 'connections refused',
};

/** @param {Readonly<Record<string, string>>} words @param {string} name */
const look = (words, name) => (Object.hasOwn(words, name) ? words[name] : undefined) ?? name;

/** Why connections were closed. @param {string} name */
export const closedWords = (name) => look(CLOSED, name);
/** Why connections were refused. @param {string} name */
export const refusedWords = (name) => look(REFUSED, name);
/** What an event is. @param {string} kind */
export const eventWords = (kind) => look(EVENTS, kind);

/** The details of an event: `worker 3, pool 0`. @param {ServerEvent} event */
export function plainDetail({ kind, detail }) {
  if (kind === 'listening' && typeof detail.address === 'string')
    return `${detail.address} port ${detail.port}`;
  return Object.entries(detail)
    .filter(([, value]) => value !== false)
    .map(([name, value]) => {
      const words =
        kind === 'refused'
          ? refusedWords(name)
          : name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      return value === true ? words : `${words} ${value}`;
    })
    .join(', ');
}
