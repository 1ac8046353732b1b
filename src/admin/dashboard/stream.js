// @ts-check
/**
 * The stream of frames: one EventSource at most, and when to try again.
 *
 * It owns the EventSource and its timer. Unlike the browser's own reconnecting, which gives up after some refusals and
 * differs between browsers, it closes a failed source and opens another after a pause that doubles up to LONGEST_MS.
 * A stream that says nothing for SILENT_MS counts as failed: a peer that vanished without a FIN looks like that.
 */

/** @typedef {import('./states.js').ServerStatus} ServerStatus */
/** `refused`: the server is there and will not stream, as with too many pages open. */
/** @typedef {'closed' | 'connecting' | 'live' | 'lost' | 'refused'} StreamState */

const STREAM = '/events';
const SHORTEST_MS = 500;
const LONGEST_MS = 5000;
const SILENT_MS = 4000;

export class Stream {
  /** @type {StreamState} */
  state = 'closed';
  /** When the last frame came; 0 = never. */
  lastFrameMs = 0;

  #onFrame;
  #onState;
  /** @type {EventSource | null} */
  #source = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #pauseMs = SHORTEST_MS;

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
      if (source !== this.#source) return; // closed meanwhile
      this.#pauseMs = SHORTEST_MS;
      this.#expectFrame();
      this.lastFrameMs = performance.now();
      this.#onFrame(JSON.parse(event.data), this.lastFrameMs);
      this.#become('live');
    });
    source.addEventListener('error', () => this.#fail(source));
  }

  close() {
    this.#drop();
    this.#pauseMs = SHORTEST_MS;
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
    this.#timer = setTimeout(() => this.open(), this.#pauseMs);
    this.#pauseMs = Math.min(LONGEST_MS, this.#pauseMs * 2);
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
