// @ts-check
/**
 * The few touches of the document that every part of the page makes.
 *
 * Text only ever goes in as text: nothing here or elsewhere in the page parses a string as HTML. A text that is
 * already there is not written again, because ten times a second even that costs.
 */

/**
 * The element of index.html with this id.
 * @param {string} id
 * @returns {HTMLElement}
 */
export function byId(id) {
  const element = document.getElementById(id);
  if (element === null) throw new Error(`index.html has no #${id}`);
  return element;
}

/** @param {Element} element @param {string} text */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {Element} element @param {string} name @param {string} value */
export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** @param {HTMLElement} element @param {boolean} shown */
export function show(element, shown) {
  if (element.hidden === shown) element.hidden = !shown;
}

/**
 * A new element inside `parent`.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {Element} parent
 * @param {K} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[K]}
 */
export function add(parent, tag, className = '', text = '') {
  const element = document.createElement(tag);
  if (className !== '') element.className = className;
  if (text !== '') element.textContent = text;
  parent.append(element);
  return element;
}

/**
 * A new SVG element inside `parent`.
 * @template {keyof SVGElementTagNameMap} K
 * @param {Element} parent
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @returns {SVGElementTagNameMap[K]}
 */
export function addSvg(parent, tag, attributes = {}) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent.append(element);
  return element;
}

const reducedMotion = matchMedia('(prefers-reduced-motion: reduce)');

/** Whether things may move. */
export function mayMove() {
  return !reducedMotion.matches;
}

const SPOKEN_EVERY_MS = 5000;

/**
 * A setter for the label of a picture, which lets one through every SPOKEN_EVERY_MS, so that a screen reader is
 * not told ten times a second.
 * @param {Element} element
 * @returns {(nowMs: number, label: () => string) => void}
 */
export function seldomLabel(element) {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (nowMs, label) => {
    if (nowMs >= lastMs && nowMs - lastMs < SPOKEN_EVERY_MS) return;
    lastMs = nowMs;
    setAttribute(element, 'aria-label', label());
  };
}
