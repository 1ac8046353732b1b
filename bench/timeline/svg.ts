/**
 * Timelines as SVG: a row per item, burns dark, sleeps light. Pure.
 */
import type { Step, Timeline } from './run.ts';
import { scaleOf } from './text.ts';

const LEFT = 40;
const TOP = 34;
const ROW = 30;
const BAR = 20;
const PX_PER_STEP = 6;
const STYLE =
  'text{font:12px sans-serif;fill:#222}.t{font-weight:bold}.g{stroke:#ccc}.b{fill:#c44e1b}.s{fill:#bcd2e8}';

/** Maps a time to a coordinate. */
type X = (ms: number) => number;

function bar({ kind, worker, startMs, endMs }: Step, row: number, x: X): string {
  const width = (x(endMs) - x(startMs)).toFixed(1);
  const place = `x="${x(startMs).toFixed(1)}" y="${TOP + row * ROW}" width="${width}" height="${BAR}"`;
  const title = `${kind}s ${startMs.toFixed(1)}-${endMs.toFixed(1)} ms, worker ${worker}`;
  return `<rect class="${kind === 'burn' ? 'b' : 's'}" ${place}><title>${title}</title></rect>`;
}

function grid(untilMs: number, tickMs: number, rows: number, x: X): string[] {
  const bottom = TOP + rows * ROW;
  const lines: string[] = [];
  for (let ms = 0; ms <= untilMs; ms += tickMs) {
    const at = x(ms).toFixed(1);
    lines.push(`<path class="g" d="M${at} ${TOP - 4}V${bottom}"/>`);
    lines.push(`<text x="${at}" y="${bottom + 14}" text-anchor="middle">${ms}</text>`);
  }
  return lines;
}

function legend(y: number): string[] {
  return [
    `<rect class="b" x="${LEFT}" y="${y}" width="12" height="12"/><text x="${LEFT + 18}" y="${y + 11}">burns</text>`,
    `<rect class="s" x="${LEFT + 70}" y="${y}" width="12" height="12"/><text x="${LEFT + 88}" y="${y + 11}">sleeps</text>`,
    `<text x="${LEFT + 150}" y="${y + 11}">time in ms; measured</text>`,
  ];
}

interface Drawing {
  width: number;
  height: number;
  lines: string[];
}

function draw(timeline: Timeline): Drawing {
  const { scenario, items, untilMs } = timeline;
  const { stepMs, tickMs } = scaleOf(timeline);
  const x: X = (ms) => LEFT + (ms / stepMs) * PX_PER_STEP;
  const height = TOP + items.length * ROW + 48;
  const rows = items.flatMap(({ name, steps }, row) => [
    `<text x="8" y="${TOP + row * ROW + 15}">${name}</text>`,
    ...steps.map((step) => bar(step, row, x)),
  ]);
  const lines = [
    `<text class="t" x="8" y="18">${scenario.title}</text>`,
    ...grid(untilMs, tickMs, items.length, x),
    ...rows,
    ...legend(height - 26),
  ];
  return { width: Math.ceil(x(untilMs) + 30), height, lines };
}

/** One drawing with the timelines below each other. */
export function toSvg(timelines: readonly Timeline[]): string {
  const drawings = timelines.map(draw);
  const width = Math.max(...drawings.map((drawing) => drawing.width));
  let y = 0;
  const groups = drawings.flatMap(({ height, lines }) => {
    const group = [`<g transform="translate(0 ${y})">`, ...lines, '</g>'];
    y += height;
    return group;
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}">`,
    '<title>Burning and sleeping items over time</title>',
    `<style>${STYLE}</style>`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    ...groups,
    '</svg>',
    '',
  ].join('\n');
}
