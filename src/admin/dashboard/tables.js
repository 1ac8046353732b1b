// @ts-check
/**
 * The tables below the charts: workqueue counters, close and refusal reasons, recent events, and process facts.
 */
import { add, byId, setText, show } from './dom.js';
import { bytes, count, moment, NONE, rate, uptime } from './format.js';
import { isSameServer, poolCpuSeconds } from './history.js';
import { closedWords, eventWords, mergedEvents, plainDetail, refusedWords } from './words.js';

/**
 * @typedef {import('./states.js').ServerStatus} ServerStatus
 * @typedef {import('./history.js').History} History
 */

const EVENTS_DRAWN = 50;
/** Minimum interval between announcements to screen readers. */
const ANNOUNCE_INTERVAL_MS = 10_000;

/** The columns of the kernel's tools/workqueue/wq_monitor.py, in its order, and `noticed`. */
export class Counters {
  #body = byId('counters');
  #rows = {
    total: this.#row('total', 'items started: connections, or under cmwq each readiness of one, closes too'),
    infl: this.#row('infl', 'in flight: started and not completed'),
    CPUtime: this.#row('CPUtime', 'CPU seconds that workers used for the CPU pools'),
    CPUitsv: this.#row('CPUitsv', 'cpu_intensive: items that computed too long and lost the run slot'),
    'CMW/RPR': this.#row('CMW/RPR', 'cm_wakeup: workers woken because an item slept'),
    noticed: this.#row('noticed', 'sleeps in items that the monitor found without a declaration'),
    mayday: this.#row(
      'mayday',
      'calls for help: a worker was needed, none was idle, and none could be created in time',
    ),
    rescued: this.#row('rescued', 'items that the rescuer ran in answer, a thread in reserve for this'),
    moved: this.#row('moved', 'items whose connection moved to another CPU pool'),
  };

  /** @param {ServerStatus} status @param {History} history */
  draw(status, history) {
    const { items, strategy } = status.stats;
    const rows = this.#rows;
    const isCmwq = strategy === 'cmwq';
    put(rows.total, count(items.started), rate(history.perSecond('started')));
    put(rows.infl, count(Math.max(0, items.started - items.completed)), '');
    const cpuRate = (history.perSecond('poolCpuSeconds') ?? 0).toFixed(2);
    put(rows.CPUtime, isCmwq ? poolCpuSeconds(status).toFixed(1) : '-', isCmwq ? cpuRate : '');
    /** @param {HTMLElement[]} row @param {number} value @param {import('./history.js').Counter} counter */
    const managed = (row, value, counter) =>
      put(row, isCmwq ? count(value) : '-', isCmwq ? rate(history.perSecond(counter)) : '');
    managed(rows.CPUitsv, items.cpuIntensive, 'cpuIntensive');
    managed(rows['CMW/RPR'], items.cmWakeup, 'cmWakeup');
    managed(rows.noticed, items.noticed, 'noticed');
    managed(rows.mayday, items.mayday, 'mayday');
    managed(rows.rescued, items.rescued, 'rescued');
    managed(rows.moved, items.moved, 'moved');
  }

  /** @param {string} name @param {string} meaning @returns {HTMLElement[]} cells of the figures */
  #row(name, meaning) {
    const row = add(this.#body, 'tr');
    const head = add(row, 'th');
    head.scope = 'row';
    add(head, 'code', '', name);
    add(head, 'small', '', meaning);
    return [add(row, 'td', 'number'), add(row, 'td', 'number')];
  }
}

/** @param {HTMLElement[]} cells @param {...string} texts */
function put(cells, ...texts) {
  for (const [i, cell] of cells.entries()) setText(cell, texts[i] ?? '');
}

/** A list of counts by reason; zero counts are hidden. */
class Reasons {
  #list;
  #words;
  #empty;
  /** @type {Map<string, { row: HTMLElement, number: HTMLElement }>} */
  #rows = new Map();

  /** @param {string} id of the list @param {(reason: string) => string} words */
  constructor(id, words) {
    this.#list = byId(id);
    this.#words = words;
    this.#empty = add(this.#list, 'li', 'nothing', 'none');
  }

  /** @param {Readonly<Record<string, number>>} counts */
  draw(counts) {
    for (const [reason, number] of Object.entries(counts)) {
      const shown = this.#rows.get(reason);
      if (shown === undefined && number > 0) this.#rows.set(reason, this.#make(reason));
      const entry = this.#rows.get(reason);
      if (entry === undefined) continue;
      setText(entry.number, count(number));
      show(entry.row, number > 0);
    }
    show(
      this.#empty,
      Object.values(counts).every((number) => number === 0),
    );
  }

  /** @param {string} reason */
  #make(reason) {
    const row = add(this.#list, 'li');
    add(row, 'span', '', this.#words(reason));
    return { row, number: add(row, 'b') };
  }
}

export class Ends {
  #closed = new Reasons('closed', closedWords);
  #refused = new Reasons('refusals', refusedWords);
  #threads = new Reasons('threads', (what) => what);

  /** @param {ServerStatus} status */
  draw({ stats }) {
    const { alive, created, culled, createFailed, died } = stats.threads;
    this.#closed.draw(stats.connections.closed);
    this.#refused.draw(stats.connections.refused);
    this.#threads.draw({
      alive,
      created,
      'culled after being idle': culled,
      'creation failed': createFailed,
      'died: error': died.error,
      'died: out of memory': died.outOfMemory,
      'died: terminated': died.terminated,
      'items that hung': stats.items.hung,
    });
  }
}

/** The last events, newest first, in rows that are created once. */
export class EventList {
  #rows = this.#makeRows();
  #empty = byId('no-events');
  #announced = byId('announced');
  #newest = 0;
  /** @type {ServerStatus | null} */
  #drawn = null;
  #announcedMs = Number.NEGATIVE_INFINITY;
  #unannounced = 0;

  /** @param {ServerStatus} status @param {number} nowMs */
  draw(status, nowMs) {
    const { events } = status;
    const newest = events.at(-1)?.seq ?? 0;
    const isSame = isSameServer(this.#drawn, status);
    this.#drawn = status;
    if (newest === this.#newest && isSame) {
      this.#announce(events, nowMs);
      return;
    }
    this.#unannounced += isSame ? newest - this.#newest : 0; // not the events before the first frame
    this.#newest = newest;
    show(this.#empty, events.length === 0);
    const shown = mergedEvents(events);
    for (const [i, { row, cells }] of this.#rows.entries()) {
      const event = shown[i];
      show(row, event !== undefined);
      if (event !== undefined) put(cells, moment(event.atMs), eventWords(event.kind), plainDetail(event));
    }
    this.#announce(events, nowMs);
  }

  /** @param {ServerStatus['events']} events @param {number} nowMs */
  #announce(events, nowMs) {
    const last = events.at(-1);
    if (this.#unannounced === 0 || last === undefined) return;
    if (nowMs >= this.#announcedMs && nowMs - this.#announcedMs < ANNOUNCE_INTERVAL_MS) return;
    this.#announcedMs = nowMs;
    const others = this.#unannounced > 1 ? `${this.#unannounced} events, the last: ` : '';
    setText(this.#announced, `${others}${eventWords(last.kind)} ${plainDetail(last)}`);
    this.#unannounced = 0;
  }

  #makeRows() {
    const body = byId('events');
    return Array.from({ length: EVENTS_DRAWN }, () => {
      const row = add(body, 'tr');
      row.hidden = true;
      return { row, cells: [add(row, 'td', 'number'), add(row, 'td'), add(row, 'td', 'detail')] };
    });
  }
}

/** Slowly changing facts: versions, limits, memory. */
export class Facts {
  #list = byId('facts');
  /** @type {Map<string, HTMLElement>} */
  #values = new Map();

  /** @param {ServerStatus} status */
  draw(status) {
    const { limits, stats } = status;
    this.#put('Version', `${status.version}, Node.js ${status.node}`);
    this.#put('Process', `pid ${status.pid}`);
    const { residentBytes, descriptors, cpuUserSeconds, cpuSystemSeconds } = status.process;
    const cpuSeconds = (cpuUserSeconds + cpuSystemSeconds).toFixed(1);
    this.#put('CPU time', `${cpuSeconds} s in the ${uptime(status.uptimeMs)} since the server was created`);
    this.#put('Resident memory', residentBytes === null ? NONE : bytes(residentBytes));
    this.#put('Descriptors', descriptors === null ? NONE : count(descriptors));
    this.#put('Handlers', status.handler ?? handlers(status.services));
    this.#put('Bytes in, out', `${bytes(stats.bytesIn)}, ${bytes(stats.bytesOut)}`);
    this.#put('Echoes', count(stats.echoes));
    this.#put('Maximum connections', count(limits.maxConnections));
    this.#put('Connections lingering', count(stats.connections.lingering));
    this.#put('Spill buffers in use', `${count(stats.spills.inUse)} of ${count(limits.spillBuffers)}`);
  }

  /** @param {string} name @param {string} text */
  #put(name, text) {
    let value = this.#values.get(name);
    if (value === undefined) {
      add(this.#list, 'dt', '', name);
      value = add(this.#list, 'dd');
      this.#values.set(name, value);
    }
    setText(value, text);
  }
}

/** The distinct handlers, each with its number. @param {readonly string[]} services */
function handlers(services) {
  if (services.length === 0) return 'echo only';
  /** @type {Map<string, number>} */
  const times = new Map();
  for (const service of services) {
    const breakable = service.replaceAll(',', ',\u200b');
    times.set(breakable, (times.get(breakable) ?? 0) + 1);
  }
  return [...times]
    .map(([service, number]) => (number === 1 ? service : `${number}\u00a0×\u00a0${service}`))
    .join('\n');
}
