/**
 * HTML and SVG markup. All text from outside this folder (names of targets, commands, notes) must go through `esc`.
 * Pure.
 */
import { type CurveFactory, curveLinear, line } from 'd3-shape';

const ENTITIES: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Safe as text and in quoted attributes, in HTML and XML; characters that XML forbids become U+FFFD. */
export function esc(text: string | number): string {
  return String(text)
    .replaceAll(/[&<>"']/g, (character) => ENTITIES[character] ?? '')
    .replaceAll(/(?![\t\n\r])[\p{Cc}\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD');
}

type Attributes = Record<string, string | number>;

function attributesText(attributes: Attributes): string {
  return Object.entries(attributes)
    .map(([name, value]) => ` ${name}="${typeof value === 'number' ? rounded(value) : esc(value)}"`)
    .join('');
}

/** To a tenth of a pixel. */
export function rounded(value: number): string {
  return String(Math.round(value * 10) / 10);
}

/** An element; `inner` is markup. */
export function el(name: string, attributes: Attributes, inner = ''): string {
  const open = `<${name}${attributesText(attributes)}`;
  return inner === '' ? `${open}/>` : `${open}>${inner}</${name}>`;
}

/** The `d` attribute of a path through points. */
export function path(points: [number, number][], curve: CurveFactory = curveLinear): string {
  return line().curve(curve).digits(1)(points) ?? ''; // null only with a canvas context
}

/** SVG text. */
export function label(x: number, y: number, text: string, attributes: Attributes = {}): string {
  return el('text', { x, y, ...attributes }, esc(text));
}

/** At most `length` characters, the last an ellipsis when truncated. */
export function shortened(text: string, length: number): string {
  return [...text].length <= length ? text : `${[...text].slice(0, length - 1).join('')}…`;
}
