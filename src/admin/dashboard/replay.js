// @ts-check
/**
 * In the place of stream.js in a recorded page (src/admin/recorded-page.ts): plays the frames in the page, at the pace
 * at which they were recorded, in a loop.
 */
import { byId } from './dom.js';

/**
 * @typedef {import('./states.js').ServerStatus} ServerStatus
 * @typedef {import('../recorded-page.ts').Recording} Recording
 */

/** @returns {Promise<Recording>} */
async function load() {
  const bytes = Uint8Array.from(atob(byId('recording').textContent ?? ''), (char) => char.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
}

const recording = load();
for (const link of document.querySelectorAll('a')) link.replaceWith(link.textContent ?? '');

/** The hand-off in the recording. */
export async function recordHandOff() {
  return (await recording).handOff;
}

export class Stream {
  /** @type {import('./stream.js').StreamState} */
  state = 'closed';
  lastFrameMs = 0;

  #onFrame;
  #onState;
  #position = /** @type {HTMLInputElement} */ (byId('position'));
  /** @type {Recording['frames']} */
  #frames = [];
  /** The frame to be shown next. */
  #next = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;

  /**
   * @param {(status: ServerStatus, nowMs: number) => void} onFrame
   * @param {() => void} onState
   */
  constructor(onFrame, onState) {
    this.#onFrame = onFrame;
    this.#onState = onState;
    this.#position.addEventListener('input', () => {
      this.#next = Number(this.#position.value);
      if (this.state === 'recorded') this.#play();
    });
    void recording.then(({ frames }) => {
      this.#frames = frames;
      if (this.state === 'recorded') this.#play();
    });
  }

  open() {
    this.state = 'recorded';
    this.#play();
    this.#onState();
  }

  close() {
    clearTimeout(this.#timer);
    this.state = 'closed';
    this.#onState();
  }

  /** Shows the next frame, and the one after it when it is due. */
  #play() {
    clearTimeout(this.#timer);
    const frame = this.#frames[this.#next];
    if (frame === undefined) return;
    this.#position.value = String(this.#next);
    this.lastFrameMs = performance.now();
    this.#onFrame(frame.status, this.lastFrameMs);
    this.#next = (this.#next + 1) % this.#frames.length;
    const waitMs = (this.#frames[this.#next]?.atMs ?? 0) - frame.atMs;
    this.#timer = setTimeout(() => this.#play(), waitMs > 0 ? waitMs : 1000);
  }
}
