// @ts-check
/**
 * A chart card: the current value in large type, the last minute as SVG paths, labelled scales, and an explanation.
 *
 * The paths are in a WIDTH x HEIGHT drawing that is stretched to the card; the labels are HTML beside it, so text is
 * not stretched. All elements are created once; drawing changes only the `d` of paths and changed texts.
 */
import { add, addSvg, setAttribute, setText, show, throttledLabel } from './dom.js';
import { count, rate } from './format.js';
import { WINDOW_MS } from './history.js';
import { linear, logarithmic } from './scale.js';

/**
 * @typedef {import('./history.js').History} History
 * @typedef {import('./history.js').Series} Series
 * @typedef {import('./scale.js').Scale} Scale
 */

const WIDTH = 600;
const HEIGHT = 100;
const TICKS = 5;
/** Changes of the server in one window. */
const MARKS_DRAWN = 6;
/** The stack uses every third frame: it shows means, and nine areas of 600 points are slow to paint. */
const STACK_STEP = 3;
/** States in which a worker has a CPU pool or a connection. */
const BUSY = ['running', 'onDuty', 'blocked', 'cpuIntensive', 'finishing'];
/** Position of "more than the last bound" on a time scale. */
const BEYOND_US = 2 ** 25;

/**
 * @typedef {object} Line
 * @property {Series} series
 * @property {string} name
 * @property {string} look CSS classes of the line: colour and dashes
 */

/**
 * @typedef {object} ChartOptions
 * @property {string} id
 * @property {string} title
 * @property {string} unit after the large value
 * @property {string} explanation
 * @property {(value: number | null) => string} format
 * @property {(value: number | null) => string} [formatNow] of the large value, if another
 * @property {Line[]} lines the large value is that of the first
 * @property {'linear' | 'logarithmic'} [scale]
 * @property {boolean} [steps] each value holds until the next
 */

/** The frame of a card, with its drawing. */
export class Card {
  /** @param {Element} parent @param {{ id: string, title: string, unit: string, explanation: string }} options */
  constructor(parent, { id, title, unit, explanation }) {
    const figure = add(parent, 'figure', 'chart');
    figure.id = `chart-${id}`;
    const caption = add(figure, 'figcaption');
    add(caption, 'h3', '', title);
    const now = add(caption, 'p', 'now');
    this.value = add(now, 'span', 'value', '–');
    add(now, 'span', 'unit', ` ${unit}`);
    this.key = add(figure, 'ul', 'key');
    const plot = add(figure, 'div', 'plot');
    const axis = add(plot, 'div', 'y-axis');
    axis.setAttribute('aria-hidden', 'true');
    this.tickLabels = Array.from({ length: TICKS }, () => add(axis, 'span'));
    this.svg = addSvg(plot, 'svg', {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': title,
    });
    this.tickLines = Array.from({ length: TICKS }, () =>
      addSvg(this.svg, 'path', { class: 'grid', 'vector-effect': 'non-scaling-stroke' }),
    );
    this.marks = Array.from({ length: MARKS_DRAWN }, () => ({
      line: addSvg(this.svg, 'path', { class: 'mark', 'vector-effect': 'non-scaling-stroke' }),
      label: add(plot, 'span', 'mark-label'),
    }));
    this.empty = add(plot, 'span', 'empty', 'no samples in the last minute');
    this.empty.hidden = true;
    const time = add(figure, 'div', 'x-axis');
    add(time, 'span', '', `${WINDOW_MS / 1000} s ago`);
    add(time, 'span', '', 'now');
    const details = add(figure, 'details');
    add(details, 'summary', '', 'How to read this').append(hidden(`: ${title}`));
    add(details, 'p', '', explanation);
    this.label = throttledLabel(this.svg);
  }

  /** Adds an entry to the key. @param {string} look @param {string} name @returns {HTMLElement} the element for its value */
  keyEntry(look, name) {
    const entry = add(this.key, 'li');
    if (look !== '') {
      const swatch = addSvg(entry, 'svg', { viewBox: '0 0 24 8', class: 'swatch', 'aria-hidden': 'true' });
      addSvg(swatch, 'path', { d: 'M0 4H24', class: `line ${look}` });
    }
    add(entry, 'span', '', name);
    return add(entry, 'b');
  }

  /** Where another server has begun, a line and its strategy. @param {History} history */
  drawMarks(history) {
    const shown = history.changes.filter(({ frame }) => frame >= firstShown(history)).slice(-MARKS_DRAWN);
    for (const [i, { line, label }] of this.marks.entries()) {
      const change = shown[i];
      show(label, change !== undefined);
      setAttribute(line, 'd', change === undefined ? '' : `M${x(history, change.frame)} 0V${HEIGHT}`);
      if (change === undefined) continue;
      setText(label, `→ ${change.strategy}`);
      const right = `${100 - (x(history, change.frame) / WIDTH) * 100}%`;
      if (label.style.right !== right) label.style.right = right;
    }
  }

  /** @param {Scale} scale @param {(value: number) => string} format */
  drawScale({ height, ticks }, format) {
    for (const [i, label] of this.tickLabels.entries()) {
      const tick = ticks[i];
      label.hidden = tick === undefined;
      setAttribute(
        this.tickLines[i] ?? this.svg,
        'd',
        tick === undefined ? '' : `M0 ${y(height(tick))}H${WIDTH}`,
      );
      if (tick === undefined) continue;
      setText(label, format(tick));
      const bottom = `${Math.round(height(tick) * 1000) / 10}%`;
      if (label.style.bottom !== bottom) label.style.bottom = bottom;
    }
  }
}

/** Text for screen readers only. @param {string} text */
function hidden(text) {
  const span = document.createElement('span');
  span.className = 'visually-hidden';
  span.textContent = text;
  return span;
}

/** @param {number} height 0 to 1 */
function y(height) {
  return Math.round((1 - Math.min(1, Math.max(0, height))) * HEIGHT * 100) / 100;
}

/** @param {History} history @param {number} frame */
function x(history, frame) {
  return Math.round((1 - (history.nowMs - history.time(frame)) / WINDOW_MS) * WIDTH * 10) / 10;
}

/** First frame inside the window. @param {History} history */
function firstShown(history) {
  let frame = history.first;
  while (frame < history.length && history.nowMs - history.time(frame) > WINDOW_MS) frame++;
  return frame;
}

/**
 * The path of a series, interrupted where a segment begins and where a value is missing.
 * @param {History} history
 * @param {Series} series
 * @param {number} from
 * @param {Pick<Scale, 'height'>} scale
 * @param {{ top?: number, steps?: boolean | undefined }} [options] values above `top` are drawn there
 */
function curve(history, series, from, { height }, { top = Number.MAX_VALUE, steps = false } = {}) {
  let path = '';
  let joined = false;
  for (let frame = from; frame < history.length; frame++) {
    const value = Math.min(history.value(series, frame), top);
    if (history.begins(frame)) joined = false;
    if (!Number.isNaN(value)) {
      const [px, py] = [x(history, frame), y(height(value))];
      path += joined ? (steps ? `H${px}V${py}` : `L${px} ${py}`) : `M${px} ${py}`;
    }
    joined = !Number.isNaN(value);
  }
  return path;
}

export class LineChart {
  /** @param {Element} parent @param {ChartOptions} options */
  constructor(parent, options) {
    this.options = options;
    this.card = new Card(parent, options);
    this.lines = options.lines.map(({ series, name, look }) => ({
      series,
      name,
      path: addSvg(this.card.svg, 'path', { class: `line ${look}`, 'vector-effect': 'non-scaling-stroke' }),
      value: options.lines.length > 1 ? this.card.keyEntry(look, name) : null,
    }));
  }

  /** @param {History} history @param {number} nowMs */
  draw(history, nowMs) {
    const { format, formatNow = format, steps } = this.options;
    const from = firstShown(history);
    const range = this.#range(history, from);
    const scale = this.#scale(range);
    this.card.drawScale(scale, format);
    this.card.drawMarks(history);
    show(this.card.empty, range === null);
    for (const { series, path, value } of this.lines) {
      setAttribute(path, 'd', curve(history, series, from, scale, { top: this.#top, steps }));
      if (value !== null) setText(value, format(history.now(series)));
    }
    const main = this.lines[0];
    if (main !== undefined) setText(this.card.value, formatNow(history.now(main.series)));
    this.card.label(nowMs, () => this.#ariaLabel(history, range));
  }

  /** Minimum and maximum of the values shown. @param {History} history @param {number} from */
  #range(history, from) {
    let min = Number.POSITIVE_INFINITY;
    let max = Number.NEGATIVE_INFINITY;
    for (const { series } of this.lines) {
      for (let frame = from; frame < history.length; frame++) {
        const value = Math.min(history.value(series, frame), this.#top);
        if (value < min) min = value;
        if (value > max) max = value;
      }
    }
    return min <= max ? { min, max } : null;
  }

  get #top() {
    return this.options.scale === 'logarithmic' ? BEYOND_US : Number.MAX_VALUE;
  }

  /** @param {{ min: number, max: number } | null} range @returns {Scale} */
  #scale(range) {
    if (this.options.scale !== 'logarithmic') return linear(range?.max ?? 0);
    return logarithmic(Math.max(1, range?.min ?? 10), Math.max(1, range?.max ?? 1000));
  }

  /** @param {History} history @param {{ min: number, max: number } | null} range */
  #ariaLabel(history, range) {
    const { title, unit, format } = this.options;
    const now = this.lines.map(({ name, series }) => `${name} ${format(history.now(series))}`).join(', ');
    const ends = range === null ? '' : `; in the last minute ${format(range.min)} to ${format(range.max)}`;
    return `${title}, ${unit}: ${now}${ends}`;
  }
}

/** Workers by state as stacked areas, and nr_running as a line. */
export class StackChart {
  /**
   * @param {Element} parent
   * @param {{ id: string, title: string, unit: string, explanation: string }} options
   * @param {readonly { key: string, name: string }[]} layers from the bottom up
   */
  constructor(parent, options, layers) {
    this.options = options;
    this.layers = layers;
    this.card = new Card(parent, options);
    this.areas = layers.map(({ key }) =>
      addSvg(this.card.svg, 'path', { class: `area s-${key}`, 'vector-effect': 'non-scaling-stroke' }),
    );
    this.running = addSvg(this.card.svg, 'path', {
      class: 'line nr-running',
      'vector-effect': 'non-scaling-stroke',
    });
    this.runningValue = this.card.keyEntry('nr-running', 'nr_running');
    this.busyValue = this.card.keyEntry('', 'busy (coloured)');
    this.idleValue = this.card.keyEntry('', 'idle (grey)');
  }

  /** @param {History} history @param {number} nowMs */
  draw(history, nowMs) {
    const from = firstShown(history);
    const now = history.workersNow;
    const total = now.reduce((sum, workers) => sum + workers, 0);
    const inState = (/** @type {readonly string[]} */ keys) =>
      this.layers.reduce((sum, { key }, i) => sum + (keys.includes(key) ? (now[i] ?? 0) : 0), 0);
    const scale = linear(this.#highest(history, from));
    this.card.drawScale(scale, count);
    this.card.drawMarks(history);
    this.#drawAreas(history, from, scale);
    setText(this.card.value, count(total));
    const running = history.now('nrRunning');
    setText(this.runningValue, rate(running));
    setText(this.busyValue, count(inState(BUSY)));
    setText(this.idleValue, count(inState(['idle'])));
    this.card.label(nowMs, () => {
      const states = this.layers
        .map(({ name }, i) => `${now[i] ?? 0} ${name}`)
        .filter((text) => !text.startsWith('0 '));
      return `${this.options.title}: ${states.join(', ') || 'none'}`;
    });
  }

  /** @param {History} history @param {number} from */
  #highest(history, from) {
    let highest = 0;
    for (let frame = from; frame < history.length; frame++) {
      let total = 0;
      for (let layer = 0; layer < this.layers.length; layer++) total += history.workers(layer, frame);
      if (total > highest) highest = total;
    }
    return highest;
  }

  /** @param {History} history @param {number} from @param {Scale} scale */
  #drawAreas(history, from, { height }) {
    const below = new Float64Array(history.length - from);
    const now = history.length - 1;
    for (const [layer, area] of this.areas.entries()) {
      let path = '';
      let up = '';
      let down = '';
      let used = false;
      for (let frame = from; frame < history.length; frame++) {
        if (history.begins(frame) && up !== '') {
          path += `${up}${down}Z`;
          up = down = '';
        } else if (frame % STACK_STEP !== 0 && frame !== now) continue;
        const [px, base] = [x(history, frame), below[frame - from] ?? 0];
        const workers = history.workers(layer, frame);
        if (workers > 0) used = true;
        up += `${up === '' ? 'M' : 'L'}${px} ${y(height(base + workers))}`;
        down = `L${px} ${y(height(base))}${down}`;
        below[frame - from] = base + workers;
      }
      setAttribute(area, 'd', used ? `${path}${up}${down}Z` : '');
    }
    setAttribute(this.running, 'd', curve(history, 'nrRunning', from, { height }));
  }
}
