// @ts-check
/**
 * The slow motion below the workers: one hand-off, recorded by the server, step by step.
 *
 * The steps of a recording do not change. They are shown one after another, by buttons, by the arrow keys, or every
 * PLAY_MS, however close together they were; each has the real time since the one before.
 */
import { add, byId, setAttribute, setText, show } from './dom.js';
import { microseconds } from './format.js';
import { STATES } from './states.js';
import { recordHandOff } from './stream.js';

/**
 * @typedef {import('../hand-off.ts').HandOff} HandOff
 * @typedef {import('../hand-off.ts').Step} Step
 * @typedef {import('./states.js').ShownState} ShownState
 */

const PLAY_MS = 2500;

/** @type {Record<Step['kind'], (handOff: HandOff, step: Step) => string>} */
const WORDS = {
  begins: ({ sleeper, connection, pool }) =>
    `w${sleeper} holds the run slot of pool ${pool} and begins an item of connection #${connection}.`,
  sleeps: ({ sleeper }) =>
    `The item sleeps. w${sleeper} gives up the run slot; it no longer counts as running.`,
  onDuty: ({ next }) => `w${next} gets the run slot: it is on duty. This is the hand-off.`,
  nextBegins: ({ next, sleeper }) => `w${next} begins another item, while that of w${sleeper} still sleeps.`,
  wakes: ({ sleeper }) =>
    `w${sleeper} wakes and goes on with its item, without the run slot; it counts as running.`,
  ends: ({ sleeper }, { slot }) =>
    slot === sleeper
      ? `w${sleeper} ends its item, finds the run slot free and takes it again.`
      : `w${sleeper} ends its item. The run slot is taken or not needed: it goes idle.`,
};

export class SlowMotion {
  #root = byId('slow-motion');
  #record = /** @type {HTMLButtonElement} */ (byId('record'));
  #notice = byId('record-notice');
  #panel = byId('steps-panel');
  #title = byId('steps-title');
  #sleeper = byId('scene-sleeper');
  #next = byId('scene-next');
  #slot = byId('scene-slot');
  #running = byId('scene-running');
  #list = byId('steps');
  #play = byId('step-play');
  #announced = byId('announced-step');
  /** @type {HandOff | null} */
  #handOff = null;
  #shown = 0;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #timer;

  constructor() {
    this.#record.addEventListener('click', () => this.#start());
    byId('step-back').addEventListener('click', () => this.#go(this.#shown - 1));
    byId('step-next').addEventListener('click', () => this.#go(this.#shown + 1));
    byId('step-close').addEventListener('click', () => this.#close());
    this.#play.addEventListener('click', () =>
      this.#timer === undefined ? this.#startPlaying() : this.#stop(),
    );
    this.#panel.addEventListener('keydown', (event) => this.#onKey(event));
  }

  /** Only cmwq hands off. @param {string} strategy */
  draw(strategy) {
    show(this.#root, strategy === 'cmwq' || this.#handOff !== null);
    this.#record.disabled = strategy !== 'cmwq';
  }

  async #start() {
    setText(this.#notice, 'recording');
    try {
      const handOff = await recordHandOff();
      if (handOff === null)
        setText(this.#notice, 'no item has slept and handed on its run slot: try again, with load');
      else this.#open(handOff);
    } catch {
      setText(this.#notice, 'the server does not answer');
    }
  }

  /** @param {HandOff} handOff */
  #open(handOff) {
    this.#stop();
    this.#handOff = handOff;
    const { pool, sleeper, next, steps } = handOff;
    setText(this.#notice, '');
    setText(this.#title, `One hand-off in pool ${pool}: from w${sleeper} to w${next}`);
    this.#list.replaceChildren();
    for (const [i, step] of steps.entries()) {
      const row = add(this.#list, 'li');
      const laterUs = step.atUs - (steps[i - 1]?.atUs ?? step.atUs);
      add(row, 'b', '', i === 0 ? 'begin' : laterUs === 0 ? 'at once' : `${microseconds(laterUs)} later`);
      add(row, 'span', '', WORDS[step.kind](handOff, step));
    }
    show(this.#panel, true);
    this.#go(0);
    byId('step-next').focus();
  }

  #close() {
    this.#stop();
    this.#handOff = null;
    show(this.#panel, false);
    this.#record.focus();
  }

  #startPlaying() {
    const last = (this.#handOff?.steps.length ?? 0) - 1;
    if (this.#shown === last) this.#go(0);
    setText(this.#play, 'Stop');
    this.#timer = setInterval(() => {
      this.#go(this.#shown + 1);
      if (this.#shown === last) this.#stop();
    }, PLAY_MS);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = undefined;
    setText(this.#play, 'Play');
  }

  /** @param {number} index of a step; beyond the ends: the nearest */
  #go(index) {
    const { steps, sleeper, next } = this.#handOff ?? { steps: [], sleeper: 0, next: 0 };
    this.#shown = Math.max(0, Math.min(steps.length - 1, index));
    const step = steps[this.#shown];
    if (step === undefined) return;
    drawWorker(this.#sleeper, sleeper, step.sleeperState, step.slot);
    drawWorker(this.#next, next, step.nextState, step.slot);
    setText(this.#slot, step.slot === 0 ? 'free' : `w${step.slot}`);
    setText(this.#running, String(step.nrRunning));
    for (const [i, row] of [...this.#list.children].entries()) {
      row.classList.toggle('now', i === this.#shown);
      row.classList.toggle('to-come', i > this.#shown);
      if (i === this.#shown) setText(this.#announced, row.textContent ?? '');
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === 'ArrowLeft') this.#go(this.#shown - 1);
    else if (event.key === 'ArrowRight') this.#go(this.#shown + 1);
    else if (event.key === 'Escape') this.#close();
    else return;
    event.preventDefault();
  }
}

/** @param {HTMLElement} box @param {number} id @param {ShownState} state @param {number} slot id of the run slot's holder */
function drawWorker(box, id, state, slot) {
  const { letter = '', name = '' } = STATES.find(({ key }) => key === state) ?? {};
  box.className = `cell s-${state}${slot === id ? ' holds-slot' : ''}`;
  setAttribute(box, 'title', name);
  box.replaceChildren();
  add(box, 'b', '', letter);
  add(box, 'i', '', `w${id}`);
  add(box, 'small', '', name);
}
