// @ts-check
/**
 * DOM helpers shared by all parts of the page.
 *
 * Strings are inserted as text only: nothing in the page parses a string as HTML. Unchanged text is not rewritten,
 * since at ten frames a second even that costs.
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

/** Whether the user allows animations. */
export function allowsMotion() {
  return !reducedMotion.matches;
}

const LABEL_INTERVAL_MS = 5000;

/**
 * A setter for the aria-label of a graphic, throttled to one change per LABEL_INTERVAL_MS for screen readers.
 * @param {Element} element
 * @returns {(nowMs: number, label: () => string) => void}
 */
export function throttledLabel(element) {
  let lastMs = Number.NEGATIVE_INFINITY;
  return (nowMs, label) => {
    if (nowMs >= lastMs && nowMs - lastMs < LABEL_INTERVAL_MS) return;
    lastMs = nowMs;
    setAttribute(element, 'aria-label', label());
  };
}
