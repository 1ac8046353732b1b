// @ts-check
/**
 * The stream of frames: at most one EventSource, with reconnection.
 *
 * Owns the EventSource and its timer. The browser's own reconnection differs between browsers and gives up after some
 * refusals, so a failed source is closed and a new one opened after a delay that doubles up to MAX_RETRY_MS. A stream
 * that is silent for SILENT_MS counts as failed: a peer that vanished without a FIN looks like that.
 */

/** @typedef {import('./states.js').ServerStatus} ServerStatus */
/** `refused`: the server answers but does not stream, for example with too many pages open. */
/** `recorded`: of replay.js, which takes the place of this module in a recorded page. */
/** @typedef {'closed' | 'connecting' | 'live' | 'lost' | 'refused' | 'recorded'} StreamState */

const STREAM = '/events';
const HAND_OFF = '/hand-off.json';
const MIN_RETRY_MS = 500;
const MAX_RETRY_MS = 5000;
const SILENT_MS = 4000;

/**
 * One hand-off that begins now; null if none does. Rejects when the server does not answer.
 * @returns {Promise<import('../hand-off.ts').HandOff | null>}
 */
export async function recordHandOff() {
  const response = await fetch(HAND_OFF);
  if (!response.ok) throw new Error(`status ${response.status}`);
  return response.json();
}

export class Stream {
  /** @type {StreamState} */
  state = 'closed';
  /** Arrival of the last frame; 0 = none yet. */
  lastFrameMs = 0;

  #onFrame;
  #onState;
  /** @type {EventSource | null} */
  #source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #retryMs = MIN_RETRY_MS;

  /**
   * @param {(status: ServerStatus, nowMs: number) => void} onFrame
   * @param {() => void} onState
   */
  constructor(onFrame, onState) {
    this.#onFrame = onFrame;
    this.#onState = onState;
  }

  open() {
    if (this.#source !== null) return;
    clearTimeout(this.#timer);
    const source = new EventSource(STREAM);
    this.#source = source;
    this.#expectFrame();
    if (this.state === 'closed') this.#become('connecting');
    source.addEventListener('status', (event) => {
      if (source !== this.#source) return; // closed in the meantime
      this.#retryMs = MIN_RETRY_MS;
      this.#expectFrame();
      this.lastFrameMs = performance.now();
      this.#onFrame(JSON.parse(event.data), this.lastFrameMs);
      this.#become('live');
    });
    source.addEventListener('error', () => this.#fail(source));
  }

  close() {
    this.#drop();
    this.#retryMs = MIN_RETRY_MS;
    this.#become('closed');
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  /** @param {EventSource} source */
  #fail(source) {
    if (source !== this.#source) return;
    const refused = source.readyState === EventSource.CLOSED;
    this.#drop();
    this.#timer = setTimeout(() => this.open(), this.#retryMs);
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2);
    this.#become(refused ? 'refused' : 'lost');
  }

  #expectFrame() {
    clearTimeout(this.#timer);
    const source = this.#source;
    this.#timer = setTimeout(() => source !== null && this.#fail(source), SILENT_MS);
  }

  /** @param {StreamState} state */
  #become(state) {
    if (state === this.state) return;
    this.state = state;
    this.#onState();
  }
}
