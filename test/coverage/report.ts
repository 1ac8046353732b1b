/**
 * The text of bench/results/coverage.txt: the table, and every piece that never ran with its reason from reasons.json.
 * A reason is found by file and by text that the piece contains, so it survives when lines move.
 */
import type { CoverageSummary } from 'monocart-coverage-reports';
import type { FileCoverage, Piece } from './analyse.ts';

export interface Reason {
  file: string;
  /** The piece's code or part of it, with white space folded. */
  code: string;
  why: string;
}

const METRICS = ['lines', 'branches', 'functions'] as const;
const CODE_MAX = 100;
const SHORT = 9;

export interface Report {
  text: string;
  /** Pieces without a reason. */
  unexplained: number;
  /** Reasons without a piece. */
  stale: Reason[];
}

export function report(
  head: readonly string[],
  files: readonly FileCoverage[],
  reasons: readonly Reason[],
): Report {
  const used = new Set<Reason>();
  let unexplained = 0;
  const explain = (path: string, piece: Piece): string[] => {
    const reason = reasons.find(({ file, code }) => file === path && matches(piece, code));
    if (reason === undefined) unexplained++;
    else used.add(reason);
    const where = piece.line === piece.lastLine ? `${piece.line}` : `${piece.line}-${piece.lastLine}`;
    const code = piece.code.length > CODE_MAX ? `${piece.code.slice(0, CODE_MAX)} ...` : piece.code;
    return [`  ${where}  ${code}`, `      ${reason?.why ?? 'NO REASON GIVEN in test/coverage/reasons.json'}`];
  };
  const text = [
    ...head,
    '',
    `${'file'.padEnd(30)}${METRICS.map((metric) => metric.padStart(20)).join('')}`,
    ...files.map(({ path, summary }) => row(path, summary)),
    row('all', total(files)),
    '',
    'What never ran, and why',
    '',
    ...files
      .filter(({ pieces }) => pieces.length > 0)
      .flatMap(({ path, pieces }) => [path, ...pieces.flatMap((piece) => explain(path, piece)), '']),
  ].join('\n');
  return { text: `${text.trimEnd()}\n`, unexplained, stale: reasons.filter((reason) => !used.has(reason)) };
}

/** Short code such as `return;` must be the whole piece, or it would match nearly anything. */
function matches(piece: Piece, code: string): boolean {
  return piece.code === code || (code.length > SHORT && piece.code.includes(code));
}

function row(name: string, summary: CoverageSummary): string {
  const cells = METRICS.map((metric) => {
    const { covered, total } = summary[metric];
    const share = total === 0 ? '-' : `${((100 * covered) / total).toFixed(1)} %`;
    return `${`${covered}/${total}`.padStart(11)}${share.padStart(9)}`;
  });
  return `${name.padEnd(30)}${cells.join('')}`;
}

function total(files: readonly FileCoverage[]): CoverageSummary {
  const sum = (metric: (typeof METRICS)[number]) => ({
    covered: files.reduce((n, { summary }) => n + summary[metric].covered, 0),
    total: files.reduce((n, { summary }) => n + summary[metric].total, 0),
  });
  return { lines: sum('lines'), branches: sum('branches'), functions: sum('functions') } as CoverageSummary;
}
