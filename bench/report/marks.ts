/**
 * The marks of each server in all charts: colour, dash pattern and shape, each of which suffices alone. Pure.
 *
 * The colours are those of Okabe and Ito, which are distinguishable with common colour blindness, darkened where too
 * pale on white; style.ts defines them for light and dark.
 */
import {
  type SymbolType,
  symbol,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolDiamond2,
  symbolSquare,
  symbolStar,
  symbolTriangle,
  symbolWye,
} from 'd3-shape';
import type { ContestantInfo } from '../compare/types.ts';
import { el, rounded } from './markup.ts';

export interface Mark {
  /** Index of the CSS class: s0, s1, ... */
  colour: number;
  dash: string;
  shape: (x: number, y: number) => string;
}

/** Square pixels. */
const AREA = 64;

function mark(colour: number, dash: string, type: SymbolType): Mark {
  const d = symbol(type, AREA).digits(1)() ?? ''; // null only with a canvas context
  const shape = (x: number, y: number) =>
    el('path', { class: 'dot', d, transform: `translate(${rounded(x)} ${rounded(y)})` });
  return { colour, dash, shape };
}

const MARKS: readonly Mark[] = [
  mark(0, '', symbolCircle),
  mark(1, '7 3', symbolTriangle),
  mark(2, '2 3', symbolSquare),
  mark(3, '9 3 2 3', symbolDiamond),
  mark(4, '4 2', symbolCross),
  mark(5, '1 4', symbolStar),
  mark(6, '12 4', symbolWye),
  mark(7, '6 2 2 2 2 2', symbolDiamond2),
];

/** The strategies have the same marks in every report. */
const FIXED: Record<string, number> = { cmwq: 0, kthread: 1, workqueue: 2 };

/** A mark per server; with more than eight they repeat. The control has none, as charts omit it. */
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
