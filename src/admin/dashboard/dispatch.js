// @ts-check
/**
 * The dispatch section left of the workers: the listener, then the CPU pools with their run slots (cmwq) or the queue
 * (kthread, workqueue).
 */
import { add, byId, setText, show } from './dom.js';
import { count, microseconds, NONE, rate } from './format.js';
import { sum } from './history.js';
import { STATES, shownState } from './states.js';

/**
 * @typedef {import('./states.js').ServerStatus} ServerStatus
 * @typedef {import('./states.js').WorkerStatus} WorkerStatus
 * @typedef {import('./history.js').History} History
 */

const POOLS_DRAWN = 64;
/** More lanes than this are drawn flat. */
const ROOMY_LANES = 6;
/** Waiting connections drawn as dots. */
const DOTS = 60;
/** Shown in the run slot while the monitor or an unlisted worker holds it. */
const UNKNOWN = { letter: '?', key: 'onDuty' };

/**
 * @typedef {object} Lane
 * @property {HTMLElement} row
 * @property {HTMLElement} chip
 * @property {HTMLElement} holder
 * @property {HTMLElement} item
 * @property {HTMLElement} waiting how many wait in its worklist
 * @property {HTMLElement} longest and for how long
 * @property {HTMLElement[]} figures
 */

export class Dispatch {
  #acceptRate = byId('accept-rate');
  #accepted = byId('accepted');
  #refused = byId('refused');
  #open = byId('open');
  #poolsStage = byId('stage-pools');
  #queueStage = byId('stage-queue');
  #lanesBody = byId('lanes');
  #morePools = byId('more-pools');
  #poolsSummary = byId('pools-summary');
  #depth = byId('queue-depth');
  #queueLimit = byId('queue-limit');
  #dots = /** @type {HTMLElement[]} */ ([]);
  #moreDots = byId('more-dots');
  #itemRate = byId('item-rate');
  #kickRate = byId('kick-rate');
  #kickUnit = byId('kick-unit');
  /** @type {Lane[]} */
  #lanes = [];

  constructor() {
    const dots = byId('dots');
    for (let i = 0; i < DOTS; i++) this.#dots.push(add(dots, 'i'));
    for (const dot of this.#dots) show(dot, false);
  }

  /** @param {ServerStatus} status @param {History} history */
  draw(status, history) {
    const { stats } = status;
    const { accepted, active, refused } = stats.connections;
    const isCmwq = stats.strategy === 'cmwq';
    setText(this.#acceptRate, rate(history.perSecond('accepted')));
    setText(this.#accepted, count(accepted));
    setText(this.#refused, count(sum(refused)));
    setText(this.#open, count(active));
    setText(this.#itemRate, rate(history.perSecond('started')));
    show(this.#poolsStage, isCmwq);
    show(this.#queueStage, !isCmwq);
    if (isCmwq) this.#drawPools(status, history);
    else this.#drawQueue(status);
  }

  /** @param {ServerStatus} status @param {History} history */
  #drawPools({ stats, workers, worklists, limits }, history) {
    const { cpuPools } = stats;
    const handOffs = (history.perSecond('cmWakeup') ?? 0) + (history.perSecond('cpuIntensive') ?? 0);
    setText(this.#kickRate, rate(history.perSecond('cmWakeup') === null ? null : handOffs));
    show(this.#kickUnit, true);
    show(this.#kickRate, true);
    const drawn = Math.min(cpuPools.length, POOLS_DRAWN);
    while (this.#lanes.length < drawn) this.#lanes.push(makeLane(this.#lanesBody, this.#lanes.length));
    this.#lanesBody.classList.toggle('flat', drawn > ROOMY_LANES);
    const byNumber = new Map(workers.map((worker) => [worker.id, worker]));
    for (const [number, lane] of this.#lanes.entries()) {
      drawLane(lane, cpuPools[number], byNumber);
      drawWaiting(lane, worklists?.[number]);
    }
    const more = cpuPools.length - drawn;
    setText(this.#morePools, `and ${count(more)} more CPU pools (not shown)`);
    show(this.#morePools, more > 0);
    setText(this.#poolsSummary, `${count(cpuPools.length)}, max_active ${count(limits.maxActive ?? 0)} each`);
  }

  /** @param {ServerStatus} status */
  #drawQueue({ stats, limits }) {
    const { queued } = stats.connections;
    show(this.#kickUnit, false);
    show(this.#kickRate, false);
    setText(this.#depth, count(queued));
    setText(this.#queueLimit, limits.maxQueue === null ? '' : `of at most ${count(limits.maxQueue)}`);
    for (const [i, dot] of this.#dots.entries()) show(dot, i < queued);
    setText(this.#moreDots, `and ${count(queued - DOTS)} more`);
    show(this.#moreDots, queued > DOTS);
  }
}

/** @param {HTMLElement} body @param {number} pool @returns {Lane} */
function makeLane(body, pool) {
  const row = add(body, 'tr');
  const head = add(row, 'th', '', String(pool));
  head.scope = 'row';
  const slot = add(add(row, 'td'), 'span', 'slot');
  const chip = add(slot, 'span', 'cell');
  chip.setAttribute('aria-hidden', 'true');
  const holder = add(slot, 'span', 'holder');
  const item = add(slot, 'span', 'item');
  const connections = add(row, 'td', 'number');
  const wait = add(row, 'td', 'number');
  const [waiting, longest] = [add(wait, 'span'), add(wait, 'small')];
  const figures = [connections, add(row, 'td', 'number'), add(row, 'td', 'number')];
  return { row, chip, holder, item, waiting, longest, figures };
}

/**
 * @param {Lane} lane
 * @param {ServerStatus['stats']['cpuPools'][number] | undefined} pool
 * @param {ReadonlyMap<number, WorkerStatus>} workers
 */
function drawLane({ row, chip, holder, item, figures }, pool, workers) {
  show(row, pool !== undefined);
  if (pool === undefined) return;
  const { slot, connections, nrRunning, nrActive, movedIn, movedOut } = pool;
  const worker = typeof slot === 'number' ? workers.get(slot) : undefined;
  const state = (worker === undefined ? undefined : STATES[shownState(worker)]) ?? UNKNOWN;
  const className = slot === 'free' ? 'cell free' : `cell s-${state.key}`;
  if (chip.className !== className) chip.className = className;
  setText(chip, slot === 'free' ? '' : slot === 'monitor' ? 'M' : state.letter);
  setText(holder, slot === 'monitor' ? 'monitor' : slot === 'free' ? 'free' : `w${slot}`);
  setText(item, worker?.connection == null ? '' : `#${worker.connection}`);
  const moves =
    movedIn + movedOut === 0 ? '' : `${count(movedIn)} connections moved in, ${count(movedOut)} out`;
  if (row.title !== moves) row.title = moves;
  for (const [i, value] of [connections, nrRunning, nrActive].entries()) {
    const figure = figures[i];
    if (figure !== undefined) setText(figure, count(value));
  }
}

/** @param {Lane} lane @param {NonNullable<ServerStatus['worklists']>[number] | undefined} worklist undefined = not counted */
function drawWaiting({ waiting, longest }, worklist) {
  setText(waiting, worklist === undefined ? NONE : count(worklist.waiting));
  const since = worklist === undefined || worklist.waiting === 0 ? null : worklist.longestMs * 1000;
  setText(longest, since === null ? '' : microseconds(since));
}
