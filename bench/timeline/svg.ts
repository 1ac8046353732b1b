/**
 * Timelines as SVG: a row for each item, burns filled, sleeps hatched light. Pure.
 */
import type { Step, Timeline } from './run.ts';
import { lengthMs } from './scenarios.ts';

const LEFT = 40;
const TOP = 34;
const ROW = 30;
const BAR = 20;
const PX_PER_MS = 1.2;
const TICK_MS = 50;
const STYLE =
  'text{font:12px sans-serif;fill:#222}.t{font-weight:bold}.g{stroke:#ccc}.b{fill:#c44e1b}.s{fill:#bcd2e8}';

function x(ms: number): string {
  return (LEFT + ms * PX_PER_MS).toFixed(1);
}

function bar({ kind, worker, startMs, endMs }: Step, row: number): string {
  const width = ((endMs - startMs) * PX_PER_MS).toFixed(1);
  const place = `x="${x(startMs)}" y="${TOP + row * ROW}" width="${width}" height="${BAR}"`;
  const title = `${kind}s ${startMs.toFixed(1)}-${endMs.toFixed(1)} ms, worker ${worker}`;
  return `<rect class="${kind === 'burn' ? 'b' : 's'}" ${place}><title>${title}</title></rect>`;
}

function grid(untilMs: number, rows: number): string[] {
  const bottom = TOP + rows * ROW;
  const lines: string[] = [];
  for (let ms = 0; ms <= untilMs; ms += TICK_MS) {
    lines.push(`<path class="g" d="M${x(ms)} ${TOP - 4}V${bottom}"/>`);
    lines.push(`<text x="${x(ms)}" y="${bottom + 14}" text-anchor="middle">${ms}</text>`);
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

export function toSvg({ scenario, items }: Timeline): string {
  const untilMs = Math.max(lengthMs(scenario), ...items.map(({ finishMs }) => finishMs));
  const width = Math.ceil(LEFT + untilMs * PX_PER_MS + 30);
  const height = TOP + items.length * ROW + 48;
  const rows = items.flatMap(({ name, steps }, row) => [
    `<text x="8" y="${TOP + row * ROW + 15}">${name}</text>`,
    ...steps.map((step) => bar(step, row)),
  ]);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}">`,
    `<title>${scenario.title}: who burns and who sleeps when</title>`,
    `<style>${STYLE}</style>`,
    '<rect width="100%" height="100%" fill="#fff"/>',
    `<text class="t" x="8" y="18">${scenario.title}</text>`,
    ...grid(untilMs, items.length),
    ...rows,
    ...legend(height - 26),
    '</svg>',
    '',
  ].join('\n');
}
