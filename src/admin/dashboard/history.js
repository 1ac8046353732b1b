// @ts-check
/**
 * The last minute of figures, in arrays of fixed size, and the rates computed from them.
 *
 * Stores every frame, drawn or not; memory is allocated once. Time here is the server's uptime on the page's clock, so
 * frames that arrive late or together are placed correctly, and the curves continue after a restart.
 *
 * A segment is a run of frames of one server without a gap. Differences are taken within a segment only, so neither a
 * restarted server, whose counters begin at 0, nor a pause makes a spike.
 */
import { lastUsed, quantile } from './histogram.js';
import { countShown, STATES } from './states.js';

/** @typedef {import('./states.js').ServerStatus} ServerStatus */

export const WINDOW_MS = 60_000;
/** Ten frames a second for WINDOW_MS, and some that arrive early. */
const CAPACITY = 640;
/** Interval of rates and means. */
const RATE_MS = 1000;
/** Interval of percentiles; longer, since not every echo is measured. */
const SAMPLES_MS = 5000;
/** Histograms kept: SAMPLES_MS and some spare. */
const HISTOGRAMS = 64;
/** Frames further apart are not connected. */
const GAP_MS = 2500;

/**
 * Whether `now` is a later frame of the server of `before`. A process may start one server after another, as demo does.
 * @param {ServerStatus | null} before
 * @param {ServerStatus} now
 */
export function isSameServer(before, now) {
  return (
    before !== null &&
    before.pid === now.pid &&
    before.stats.strategy === now.stats.strategy &&
    before.uptimeMs <= now.uptimeMs
  );
}

/** CPU time that workers used for the CPU pools. @param {ServerStatus} status */
export function poolCpuSeconds({ stats }) {
  return stats.cpuPools.reduce((total, { cpuTimeMs }) => total + cpuTimeMs / 1000, 0);
}

/** Counters since the server's start, for rates. @satisfies {Record<string, (s: ServerStatus) => number>} */
const COUNTERS = {
  accepted: (/** @type {ServerStatus} */ s) => s.stats.connections.accepted,
  refused: (/** @type {ServerStatus} */ s) => sum(s.stats.connections.refused),
  closed: (/** @type {ServerStatus} */ s) => sum(s.stats.connections.closed),
  echoes: (/** @type {ServerStatus} */ s) => s.stats.echoes,
  started: (/** @type {ServerStatus} */ s) => s.stats.items.started,
  cpuSeconds: (/** @type {ServerStatus} */ s) => s.process.cpuUserSeconds + s.process.cpuSystemSeconds,
  poolCpuSeconds: poolCpuSeconds,
  cpuIntensive: (/** @type {ServerStatus} */ s) => s.stats.items.cpuIntensive,
  cmWakeup: (/** @type {ServerStatus} */ s) => s.stats.items.cmWakeup,
  noticed: (/** @type {ServerStatus} */ s) => s.stats.items.noticed,
  mayday: (/** @type {ServerStatus} */ s) => s.stats.items.mayday,
  rescued: (/** @type {ServerStatus} */ s) => s.stats.items.rescued,
  moved: (/** @type {ServerStatus} */ s) => s.stats.items.moved,
};

/** @typedef {keyof typeof COUNTERS} Counter */
/** @typedef {'dispatch' | 'echo'} Latency */

const COUNTER_NAMES = /** @type {Counter[]} */ (Object.keys(COUNTERS));

/** Series drawn as lines; the stacked states are separate. */
const SERIES = /** @type {const} */ ([
  'echoes',
  'echoP50',
  'echoP99',
  'echoWorst',
  'dispatchP50',
  'dispatchP99',
  'dispatchWorst',
  'connections',
  'queued',
  'nrRunning',
  'cpuPercent',
]);
/** @typedef {(typeof SERIES)[number]} Series */

/** @param {Readonly<Record<string, number>>} counts */
export function sum(counts) {
  return Object.values(counts).reduce((total, value) => total + value, 0);
}

/**
 * One array per name.
 * @template {string} K
 * @param {readonly K[]} names
 * @param {number} length
 * @returns {Record<K, Float64Array>}
 */
function columns(names, length) {
  return /** @type {Record<K, Float64Array>} */ (
    Object.fromEntries(names.map((name) => [name, new Float64Array(length)]))
  );
}

export class History {
  /** Frames stored so far; frame n is kept at n % CAPACITY. */
  length = 0;
  /** Sample counts of the last percentiles. @type {Record<Latency, number>} */
  samples = { dispatch: 0, echo: 0 };

  #times = new Float64Array(CAPACITY);
  /** 1 where a segment begins. */
  #begins = new Uint8Array(CAPACITY);
  #series = columns(SERIES, CAPACITY);
  /** Workers by STATES, and nr_running: per frame, and as means over RATE_MS, since single frames jump. */
  #stateNow = STATES.map(() => new Float64Array(CAPACITY));
  #runningNow = new Float64Array(CAPACITY);
  #states = STATES.map(() => new Float64Array(CAPACITY));
  #counters = columns(COUNTER_NAMES, CAPACITY);
  /** Counts of the last HISTOGRAMS frames, allocated when the number of buckets is known. @type {Record<Latency, Float64Array[]>} */
  #histograms = { dispatch: [], echo: [] };
  /** First frame of this segment. */
  #segment = 0;
  #counts = STATES.map(() => 0);
  /** This page's clock when the server's uptime was 0. */
  #startMs = 0;
  /**
   * Servers that have begun after the first: their first frame, and their strategy.
   * @type {{ frame: number, strategy: string }[]}
   */
  #changes = [];
  /** @type {ServerStatus | null} */
  #last = null;

  /** Oldest frame kept. */
  get first() {
    return Math.max(0, this.length - CAPACITY);
  }

  /** Time of the last frame. */
  get nowMs() {
    return this.length === 0 ? 0 : this.time(this.length - 1);
  }

  /** @param {number} frame */
  time(frame) {
    return this.#times[frame % CAPACITY] ?? 0;
  }

  /** Whether the curve is broken before this frame. @param {number} frame */
  begins(frame) {
    return this.#begins[frame % CAPACITY] === 1;
  }

  /** Where another server took over, in the frames kept, oldest first. */
  get changes() {
    return this.#changes;
  }

  /** NaN where the frame has no value. @param {Series} series @param {number} frame */
  value(series, frame) {
    return this.#series[series][frame % CAPACITY] ?? Number.NaN;
  }

  /** The last value of a series, or null. @param {Series} series @returns {number | null} */
  now(series) {
    const value = this.length === 0 ? Number.NaN : this.value(series, this.length - 1);
    return Number.isNaN(value) ? null : value;
  }

  /** Mean number of workers in one of STATES. @param {number} state @param {number} frame */
  workers(state, frame) {
    return this.#states[state]?.[frame % CAPACITY] ?? 0;
  }

  /** Workers in the last frame, by index in STATES. */
  get workersNow() {
    return this.#counts;
  }

  /** Rate over the last RATE_MS; null until the segment has two frames. @param {Counter} counter */
  perSecond(counter) {
    const last = this.length - 1;
    const from = this.#frameBefore(RATE_MS);
    if (from >= last) return null;
    const column = this.#counters[counter];
    const more = (column[last % CAPACITY] ?? 0) - (column[from % CAPACITY] ?? 0);
    return Math.max(0, (more * 1000) / (this.time(last) - this.time(from)));
  }

  /** Stores a frame that arrived at `nowMs`. @param {ServerStatus} status @param {number} nowMs */
  take(status, nowMs) {
    const restarted = !isSameServer(this.#last, status);
    if (restarted) this.#startMs = nowMs - status.uptimeMs;
    const timeMs = this.#startMs + status.uptimeMs;
    const begins = restarted || timeMs - this.nowMs > GAP_MS;
    this.#last = status;

    const frame = this.length++;
    const at = frame % CAPACITY;
    if (begins) this.#segment = frame;
    if (restarted && frame > 0) this.#changes.push({ frame, strategy: status.stats.strategy });
    while ((this.#changes[0]?.frame ?? frame) < this.first) this.#changes.shift();
    this.#times[at] = timeMs;
    this.#begins[at] = begins ? 1 : 0;
    for (const name of COUNTER_NAMES) this.#counters[name][at] = COUNTERS[name](status);
    this.#takeWorkers(status, at);
    this.#takeLatency('dispatch', status.latency.dispatch, at);
    this.#takeLatency('echo', status.latency.echo, at);
    this.#series.connections[at] = status.stats.connections.active;
    this.#series.queued[at] = status.stats.connections.queued;
    this.#series.echoes[at] = this.perSecond('echoes') ?? Number.NaN;
    this.#series.cpuPercent[at] = (this.perSecond('cpuSeconds') ?? Number.NaN) * 100;
  }

  /** @param {ServerStatus} status @param {number} at */
  #takeWorkers({ stats, workers }, at) {
    countShown(workers, this.#counts);
    for (const [state, column] of this.#stateNow.entries()) column[at] = this.#counts[state] ?? 0;
    const { cpuPools } = stats;
    this.#runningNow[at] =
      cpuPools.length === 0 ? Number.NaN : cpuPools.reduce((total, { nrRunning }) => total + nrRunning, 0);
    for (const [state, column] of this.#states.entries()) column[at] = this.#mean(this.#stateNow[state]);
    this.#series.nrRunning[at] = this.#mean(this.#runningNow);
  }

  /** Mean over the frames of the last RATE_MS. @param {Float64Array | undefined} column */
  #mean(column) {
    const last = this.length - 1;
    const from = Math.min(last, this.#frameBefore(RATE_MS) + 1);
    let total = 0;
    for (let frame = from; frame <= last; frame++) total += column?.[frame % CAPACITY] ?? 0;
    return total / (last - from + 1);
  }

  /** @param {Latency} name @param {import('../../schema/status.ts').HistogramStatus} histogram @param {number} at */
  #takeLatency(name, { boundsSeconds, counts }, at) {
    const rows = this.#histograms[name];
    while (rows.length < HISTOGRAMS) rows.push(new Float64Array(counts.length));
    const last = this.length - 1;
    const row = rows[last % HISTOGRAMS];
    for (let i = 0; row !== undefined && i < row.length; i++) row[i] = counts[i] ?? 0;
    const before = rows[Math.max(this.#frameBefore(SAMPLES_MS), last - HISTOGRAMS + 1) % HISTOGRAMS];
    const more = counts.map((value, i) => Math.max(0, value - (before?.[i] ?? value)));
    const boundUs = (/** @type {number} */ bucket) =>
      (boundsSeconds[bucket] ?? Number.POSITIVE_INFINITY) * 1e6;
    this.samples[name] = more.reduce((total, value) => total + value, 0);
    this.#series[`${name}P50`][at] = boundUs(quantile(more, 0.5));
    this.#series[`${name}P99`][at] = boundUs(quantile(more, 0.99));
    this.#series[`${name}Worst`][at] = boundUs(lastUsed(more));
    if (this.samples[name] > 0) return;
    for (const figure of /** @type {const} */ (['P50', 'P99', 'Worst'])) {
      this.#series[`${name}${figure}`][at] = Number.NaN;
    }
  }

  /** The last frame of this segment that is at least `ms` older than the newest, or the segment's first. @param {number} ms */
  #frameBefore(ms) {
    const oldest = Math.max(this.first, this.#segment);
    const untilMs = this.nowMs - ms;
    let frame = this.length - 1;
    while (frame > oldest && this.time(frame) > untilMs) frame--;
    return frame;
  }
}
