/**
 * How each server looks in every chart: a colour, a dash pattern and a shape, so that none of the three is
 * needed to tell them apart. Pure.
 *
 * The colours are those of Okabe and Ito, which people with any of the usual colour blindnesses can tell apart,
 * darkened where they would be too pale on white; style.ts has them for light and dark.
 */
import type { ContestantInfo } from '../compare/types.ts';
import { el, rounded } from './markup.ts';

export interface Mark {
  /** Number of its colour: the CSS classes are s0, s1, ... */
  colour: number;
  dash: string;
  shape: (x: number, y: number) => string;
}

const R = 4.5;

function polygon(points: readonly (readonly [number, number])[]): (x: number, y: number) => string {
  return (x, y) =>
    el('polygon', {
      class: 'dot',
      points: points.map(([dx, dy]) => `${rounded(x + dx * R)},${rounded(y + dy * R)}`).join(' '),
    });
}

const circle = (x: number, y: number) => el('circle', { class: 'dot', cx: x, cy: y, r: R });
const square = polygon([
  [-0.9, -0.9],
  [0.9, -0.9],
  [0.9, 0.9],
  [-0.9, 0.9],
]);
const triangle = polygon([
  [0, -1.2],
  [1.1, 0.9],
  [-1.1, 0.9],
]);
const diamond = polygon([
  [0, -1.3],
  [1.3, 0],
  [0, 1.3],
  [-1.3, 0],
]);
const inverted = polygon([
  [0, 1.2],
  [1.1, -0.9],
  [-1.1, -0.9],
]);
const hourglass = polygon([
  [-1.1, -1.1],
  [1.1, -1.1],
  [-1.1, 1.1],
  [1.1, 1.1],
]);
const bow = polygon([
  [-1.1, -1.1],
  [-1.1, 1.1],
  [1.1, -1.1],
  [1.1, 1.1],
]);
const bar = polygon([
  [-1.4, -0.5],
  [1.4, -0.5],
  [1.4, 0.5],
  [-1.4, 0.5],
]);

const MARKS: readonly Mark[] = [
  { colour: 0, dash: '', shape: circle },
  { colour: 1, dash: '7 3', shape: triangle },
  { colour: 2, dash: '2 3', shape: square },
  { colour: 3, dash: '9 3 2 3', shape: diamond },
  { colour: 4, dash: '4 2', shape: inverted },
  { colour: 5, dash: '1 4', shape: hourglass },
  { colour: 6, dash: '12 4', shape: bow },
  { colour: 7, dash: '6 2 2 2 2 2', shape: bar },
];

/** The strategies always look the same, whatever they are compared with. */
const FIXED: Record<string, number> = { cmwq: 0, kthread: 1, workqueue: 2 };

/** A mark for each server; from the ninth on they come again. The control has none: it is in no chart. */
export function marksFor(contestants: readonly ContestantInfo[]): Map<string, Mark> {
  const marks = new Map<string, Mark>();
  let next = Object.keys(FIXED).length;
  for (const { label, kind } of contestants) {
    if (kind === 'control') continue;
    const fixed = kind === 'strategy' ? FIXED[label] : undefined;
    const index = fixed ?? 3 + ((next++ - 3) % (MARKS.length - 3));
    marks.set(label, MARKS[index] as Mark); // the index is below the length
  }
  return marks;
}
