// @ts-check
/**
 * What stands below the curves: the kernel's counters, how connections ended, the last events, and the facts of
 * the process.
 */
import { add, byId, setText, show } from './dom.js';
import { bytes, count, moment, NONE, rate, uptime } from './format.js';
import { closedWords, eventWords, plainDetail, refusedWords } from './words.js';

/**
 * @typedef {import('./states.js').ServerStatus} ServerStatus
 * @typedef {import('./history.js').History} History
 */

const EVENTS_DRAWN = 50;
/** A listener to the page is told of events at most that often. */
const TOLD_EVERY_MS = 10_000;

/** The columns of tools/workqueue/wq_monitor.py in the kernel's source, in its order. */
export class Counters {
  #body = byId('counters');
  #rows = {
    total: this.#row('total', 'items begun'),
    infl: this.#row('infl', 'in flight: begun and not completed'),
    CPUtime: this.#row('CPUtime', 'processor seconds of the whole process'),
    CPUitsv: this.#row(
      'CPUitsv',
      'cpu_intensive: items that lost the run slot because they computed too long',
    ),
    'CMW/RPR': this.#row('CMW/RPR', 'cm_wakeup: items that fell asleep and made their worker kick another'),
    mayday: this.#row('mayday', 'calls for the rescuer'),
    rescued: this.#row('rescued', 'items begun by the rescuer'),
  };

  /** @param {ServerStatus} status @param {History} history */
  draw({ stats, process }, history) {
    const { items, strategy } = stats;
    const rows = this.#rows;
    const isCmwq = strategy === 'cmwq';
    const cpuSeconds = process.cpuUserSeconds + process.cpuSystemSeconds;
    put(rows.total, count(items.started), rate(history.perSecond('started')));
    put(rows.infl, count(Math.max(0, items.started - items.completed)), '');
    put(rows.CPUtime, cpuSeconds.toFixed(1), (history.perSecond('cpuSeconds') ?? 0).toFixed(2));
    /** @param {HTMLElement[]} row @param {number} value @param {import('./history.js').Counter} counter */
    const managed = (row, value, counter) =>
      put(row, isCmwq ? count(value) : '-', isCmwq ? rate(history.perSecond(counter)) : '');
    managed(rows.CPUitsv, items.cpuIntensive, 'cpuIntensive');
    managed(rows['CMW/RPR'], items.cmWakeup, 'cmWakeup');
    managed(rows.mayday, items.mayday, 'mayday');
    managed(rows.rescued, items.rescued, 'rescued');
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

/** A list of counts by reason, of which only those above zero are shown. */
class Reasons {
  #list;
  #words;
  #nothing;
  /** @type {Map<string, { row: HTMLElement, number: HTMLElement }>} */
  #rows = new Map();

  /** @param {string} id of the list @param {(reason: string) => string} words */
  constructor(id, words) {
    this.#list = byId(id);
    this.#words = words;
    this.#nothing = add(this.#list, 'li', 'nothing', 'none');
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
      this.#nothing,
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
      'could not be created': createFailed,
      'died: error': died.error,
      'died: out of memory': died.outOfMemory,
      'died: terminated': died.terminated,
      'items that hung': stats.items.hung,
    });
  }
}

/** The last events, the newest first, in rows that are made once. */
export class EventList {
  #rows = this.#makeRows();
  #nothing = byId('no-events');
  #told = byId('told');
  #newest = 0;
  #pid = 0;
  #toldMs = Number.NEGATIVE_INFINITY;
  #untold = 0;

  /** @param {ServerStatus} status @param {number} nowMs */
  draw({ events, pid }, nowMs) {
    const newest = events.at(-1)?.seq ?? 0;
    if (newest === this.#newest && pid === this.#pid) {
      this.#tell(events, nowMs);
      return;
    }
    this.#untold += pid === this.#pid ? newest - this.#newest : 0; // those of the past are no news
    this.#newest = newest;
    this.#pid = pid;
    show(this.#nothing, events.length === 0);
    for (const [i, { row, cells }] of this.#rows.entries()) {
      const event = events[events.length - 1 - i];
      show(row, event !== undefined);
      if (event !== undefined) put(cells, moment(event.atMs), eventWords(event.kind), plainDetail(event));
    }
    this.#tell(events, nowMs);
  }

  /** @param {ServerStatus['events']} events @param {number} nowMs */
  #tell(events, nowMs) {
    const last = events.at(-1);
    if (this.#untold === 0 || last === undefined) return;
    if (nowMs >= this.#toldMs && nowMs - this.#toldMs < TOLD_EVERY_MS) return;
    this.#toldMs = nowMs;
    const others = this.#untold > 1 ? `${this.#untold} events, the last: ` : '';
    setText(this.#told, `${others}${eventWords(last.kind)} ${plainDetail(last)}`);
    this.#untold = 0;
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

/** What hardly changes: versions, limits, memory. */
export class Facts {
  #list = byId('facts');
  /** @type {Map<string, HTMLElement>} */
  #values = new Map();

  /** @param {ServerStatus} status */
  draw(status) {
    const { limits, stats } = status;
    this.#put('Version', `${status.version}, Node.js ${status.node}`);
    this.#put('Process', `pid ${status.pid}, up ${uptime(status.uptimeMs)}`);
    const { residentBytes, descriptors } = status.process;
    this.#put('Resident memory', residentBytes === null ? NONE : bytes(residentBytes));
    this.#put('Descriptors', descriptors === null ? NONE : count(descriptors));
    this.#put('Handlers', handlers(status.services));
    this.#put('Bytes in, out', `${bytes(stats.bytesIn)}, ${bytes(stats.bytesOut)}`);
    this.#put('Echoes', count(stats.echoes));
    this.#put('Connections, at most', count(limits.maxConnections));
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

/** What handlers do, each once with how many of them there are. @param {readonly string[]} services */
function handlers(services) {
  if (services.length === 0) return 'only echo';
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
