// @ts-check
/**
 * The workers as cells, and the run slots as rings around them.
 *
 * The worker with id n always has the n-th cell; an unused id is an empty cell. So the eye can follow one worker, and a
 * hand-off is an arc that runs to the ring's new cell, behind the other cells, and fades. At most CELLS_DRAWN cells,
 * RINGS_DRAWN rings and ARCS_DRAWN arcs are drawn; their elements are created when first needed and hidden when unused.
 */
import { add, addSvg, allowsMotion, byId, setText, show, throttledLabel } from './dom.js';
import { count, microseconds } from './format.js';
import { STATES, shownState } from './states.js';

/**
 * @typedef {import('./states.js').ServerStatus} ServerStatus
 * @typedef {import('./states.js').WorkerStatus} WorkerStatus
 */

const CELLS_DRAWN = 600;
const RINGS_DRAWN = 64;
/** With more pools, hand-offs are too frequent for arcs to be useful. */
const ARCS_DRAWN = 16;
/** Maximum number of cells per size, largest size first (dashboard.css, .cells[data-size]). */
const SIZES = /** @type {const} */ ([
  ['large', 24],
  ['middle', 90],
  ['small', 240],
  ['tiny', CELLS_DRAWN],
]);
const ARC_MS = 600;
const FREE = -1;

/**
 * @typedef {object} Cell
 * @property {HTMLElement} box
 * @property {HTMLElement} letter
 * @property {HTMLElement} item
 * @property {number} state index in STATES, FREE = the id is unused
 * @property {number} connection 0 = none
 */

/**
 * @typedef {object} Ring
 * @property {HTMLElement} box
 * @property {SVGPathElement | null} arc
 * @property {Animation | null} fading
 * @property {number} holder id of the current or last holder, 0 = none yet
 */

export class WorkerCells {
  #grid = byId('cells');
  #arcs = addSvg(this.#grid, 'svg', { class: 'arcs', 'aria-hidden': 'true' });
  #summary = byId('workers-summary');
  #more = byId('more-workers');
  #asleep = byId('asleep');
  #lastHandOff = byId('last-hand-off');
  #label = throttledLabel(this.#grid);
  /** @type {Cell[]} */
  #cells = [];
  #shown = 0;
  /** @type {Ring[]} */
  #rings = [];
  /** Centres of the cells, by index; measured again when the grid changes. @type {{ x: number, y: number }[]} */
  #places = [];
  #side = 0;
  /** Between two rows. */
  #gap = 0;
  #stale = true;
  #legend = makeLegend();
  #seen = new Uint8Array(CELLS_DRAWN);

  constructor() {
    new ResizeObserver(() => {
      this.#stale = true;
    }).observe(this.#grid);
  }

  /** @param {ServerStatus} status @param {readonly number[]} counts by STATES @param {number} nowMs */
  draw({ workers, limits, stats }, counts, nowMs) {
    this.#resize(workers.reduce((most, { id }) => Math.max(most, id), 0));
    this.#seen.fill(0);
    for (const worker of workers) this.#drawCell(worker);
    for (let i = 0; i < this.#shown; i++) if (this.#seen[i] === 0) this.#drawFree(this.#cells[i]);
    this.#drawRings(stats.cpuPools);
    const hiddenWorkers = workers.filter(({ id }) => id > CELLS_DRAWN).length;
    setText(this.#more, `and ${count(hiddenWorkers)} more workers (not shown)`);
    show(this.#more, hiddenWorkers > 0);
    setText(this.#summary, `${count(workers.length)} of at most ${count(limits.maxWorkers)}`);
    const asleep = sleepWords(workers);
    setText(this.#asleep, asleep === '' ? '' : `asleep in items: ${asleep}`);
    this.#drawLegend(counts, stats.strategy === 'cmwq');
    this.#label(nowMs, () => {
      const states = STATES.map(({ name }, i) => `${counts[i]} ${name}`).filter(
        (text) => !text.startsWith('0 '),
      );
      return `${workers.length} workers: ${states.join(', ') || 'none'}`;
    });
  }

  /** @param {number} highest id in use */
  #resize(highest) {
    const wanted = Math.min(highest, CELLS_DRAWN);
    if (wanted === this.#shown) return;
    while (this.#cells.length < wanted) this.#cells.push(this.#makeCell(this.#cells.length + 1));
    for (let i = Math.min(wanted, this.#shown); i < Math.max(wanted, this.#shown); i++) {
      const cell = this.#cells[i];
      if (cell !== undefined) show(cell.box, i < wanted);
    }
    this.#shown = wanted;
    this.#stale = true;
    this.#grid.dataset.size = SIZES.find(([, most]) => wanted <= most)?.[0] ?? 'tiny';
  }

  /** @param {number} id @returns {Cell} */
  #makeCell(id) {
    const box = document.createElement('div');
    this.#grid.insertBefore(box, this.#arcs);
    const letter = add(box, 'b');
    add(box, 'i', '', `w${id}`);
    const item = add(box, 'small');
    box.className = 'cell free';
    return { box, letter, item, state: FREE, connection: 0 };
  }

  /** @param {WorkerStatus} worker */
  #drawCell(worker) {
    const cell = this.#cells[worker.id - 1];
    if (cell === undefined) return;
    this.#seen[worker.id - 1] = 1;
    const index = shownState(worker);
    if (index !== cell.state) {
      const state = STATES[index];
      cell.state = index;
      cell.box.className = `cell s-${state?.key}`;
      setText(cell.letter, state?.letter ?? '');
    }
    const connection = worker.connection ?? 0;
    if (connection === cell.connection) return;
    cell.connection = connection;
    setText(cell.item, connection === 0 ? '' : `#${connection}`);
  }

  /** @param {Cell | undefined} cell */
  #drawFree(cell) {
    if (cell === undefined || cell.state === FREE) return;
    cell.state = FREE;
    cell.connection = 0;
    cell.box.className = 'cell free';
    setText(cell.letter, '');
    setText(cell.item, '');
  }

  /** @param {ServerStatus['stats']['cpuPools']} pools */
  #drawRings(pools) {
    const drawn = Math.min(pools.length, RINGS_DRAWN);
    show(this.#lastHandOff, drawn > 0);
    while (this.#rings.length < drawn) this.#rings.push(this.#makeRing(this.#rings.length));
    if (this.#stale) this.#measure();
    for (const [pool, ring] of this.#rings.entries()) {
      const slot = pools[pool]?.slot;
      if (slot === undefined) ring.holder = 0; // of another server
      const place = typeof slot === 'number' && slot <= this.#shown ? this.#places[slot - 1] : undefined;
      ring.box.classList.toggle('absent', place === undefined);
      if (place === undefined || typeof slot !== 'number') continue;
      const from = this.#places[ring.holder - 1];
      if (slot !== ring.holder && from !== undefined) {
        setText(this.#lastHandOff, `last hand-off seen: w${ring.holder} → w${slot}, pool ${pool}`);
        if (drawn <= ARCS_DRAWN) this.#drawArc(ring, from, place);
      }
      ring.holder = slot;
      this.#moveRing(ring, place);
    }
  }

  /** @param {number} pool @returns {Ring} */
  #makeRing(pool) {
    const box = add(this.#grid, 'div', 'ring absent');
    add(box, 'b', '', String(pool));
    if (pool >= ARCS_DRAWN) return { box, arc: null, fading: null, holder: 0 };
    const arc = addSvg(this.#arcs, 'path', { pathLength: '1' });
    const fading = arc.animate(
      [
        { opacity: 1, strokeDashoffset: 1 },
        { opacity: 1, strokeDashoffset: 0, offset: 0.3 },
        { opacity: 0, strokeDashoffset: 0 },
      ],
      { duration: ARC_MS },
    );
    fading.cancel();
    return { box, arc, fading, holder: 0 };
  }

  /** @param {Ring} ring @param {{ x: number, y: number }} place */
  #moveRing({ box }, { x, y }) {
    const transform = `translate(${x - this.#side / 2}px, ${y - this.#side / 2}px)`;
    if (box.style.transform !== transform) box.style.transform = transform;
  }

  /** @param {Ring} ring @param {{ x: number, y: number }} from @param {{ x: number, y: number }} to */
  #drawArc({ arc, fading }, from, to) {
    if (arc === null || fading === null || !allowsMotion()) return;
    // Behind the cells, and across in the gap above the lower of the two rows.
    const radius = this.#gap / 2;
    const lane = Math.max(from.y, to.y) - this.#side / 2 - radius;
    const ahead = Math.sign(to.x - from.x) * radius;
    const bend = `Q${from.x} ${lane} ${from.x + ahead} ${lane}`;
    const bendBack = `Q${to.x} ${lane} ${to.x} ${lane + Math.sign(to.y - lane) * radius}`;
    const start = `M${from.x} ${from.y}V${lane + Math.sign(from.y - lane) * radius}`;
    arc.setAttribute('d', `${start}${bend}H${to.x - ahead}${bendBack}V${to.y}`);
    fading.cancel();
    fading.play();
  }

  /** Measures the positions of the cells. */
  #measure() {
    this.#stale = false;
    this.#places = [];
    for (let i = 0; i < this.#shown; i++) {
      const box = this.#cells[i]?.box;
      if (box === undefined) continue;
      this.#side = box.offsetWidth;
      this.#places.push({ x: box.offsetLeft + box.offsetWidth / 2, y: box.offsetTop + box.offsetHeight / 2 });
    }
    this.#gap = Number.parseFloat(getComputedStyle(this.#grid).rowGap);
    this.#grid.style.setProperty('--side', `${this.#side}px`);
  }

  /** @param {readonly number[]} counts @param {boolean} isCmwq */
  #drawLegend(counts, isCmwq) {
    for (const [i, { key }] of STATES.entries()) {
      const entry = this.#legend[i];
      if (entry === undefined) continue;
      const number = counts[i] ?? 0;
      show(entry.row, isCmwq || number > 0 || key === 'running' || key === 'idle');
      setText(entry.number, count(number));
      entry.row.classList.toggle('none', number === 0);
    }
  }
}

/** 3 in fsync (up to 12 ms), 1 in futex (up to 1.2 s): by system call, the longest sleep first. @param {readonly WorkerStatus[]} workers */
function sleepWords(workers) {
  /** @type {Map<string, { number: number, longestMs: number }>} */
  const calls = new Map();
  for (const { sleepsIn, sleepsForMs } of workers) {
    if (sleepsIn === null) continue;
    const { number, longestMs } = calls.get(sleepsIn) ?? { number: 0, longestMs: 0 };
    calls.set(sleepsIn, { number: number + 1, longestMs: Math.max(longestMs, sleepsForMs ?? 0) });
  }
  return [...calls]
    .sort(([, a], [, b]) => b.longestMs - a.longestMs)
    .map(([name, { number, longestMs }]) => {
      const upTo = longestMs === 0 ? '' : ` (up to ${microseconds(longestMs * 1000)})`;
      return `${number} in ${name}${upTo}`;
    })
    .join(', ');
}

/** An entry for each of STATES. */
function makeLegend() {
  const list = byId('legend');
  return STATES.map(({ key, letter, name, meaning }) => {
    const row = add(list, 'li');
    const cell = add(row, 'span', `cell s-${key}`, letter);
    cell.setAttribute('aria-hidden', 'true');
    const number = add(row, 'b', '', '0');
    const words = add(row, 'span', 'name', name);
    add(words, 'small', '', meaning);
    return { row, number };
  });
}
