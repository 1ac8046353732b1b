/** From raw coverage to figures: per source its lines, branches and functions, and each piece that never ran. */
import { type CoverageFile, CoverageReport, type CoverageSummary } from 'monocart-coverage-reports';
import type { FunctionCoverage, RawCoverage, Source } from './raw.ts';

export interface Piece {
  /** First line of the piece. */
  line: number;
  lastLine: number;
  /** Its text with white space folded. */
  code: string;
}

export interface FileCoverage {
  path: string;
  summary: CoverageSummary;
  /** Code that never ran, in file order. */
  pieces: Piece[];
}

/** No process or thread of the run loaded it. */
const WHOLE_FILE: Piece = { line: 1, lastLine: 1, code: 'the whole file: never loaded' };

/** Merges all variants of all sources. `folder` is for the library's cache. */
export async function analyse(raw: RawCoverage, folder: string): Promise<FileCoverage[]> {
  const report = new CoverageReport({
    outputDir: folder,
    cleanCache: true,
    clean: false,
    logging: 'error',
    reports: ['none'],
  });
  for (const source of raw.sources.values()) {
    for (const variant of variantsOf(source)) {
      await report.add([{ url: source.url, source: source.text, functions: variant }]);
    }
  }
  const results = await report.generate();
  const files = (results?.files ?? []).map((file) => fileCoverage(raw, file));
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** At least one: a source that was never loaded counts as one function that never ran. */
function variantsOf({ text, variants }: Source): FunctionCoverage[][] {
  if (variants.size > 0) return [...variants].map((json) => JSON.parse(json) as FunctionCoverage[]);
  const ranges = [{ startOffset: 0, endOffset: text.length, count: 0 }];
  return [[{ functionName: '', isBlockCoverage: true, ranges }]];
}

function fileCoverage(raw: RawCoverage, file: CoverageFile): FileCoverage {
  const source = raw.sources.get(file.url ?? '');
  if (source === undefined || file.data === undefined) throw new Error(`no such source: ${file.sourcePath}`);
  const loaded = source.variants.size > 0 || file.summary.lines.total === 0; // a file of types has no lines
  return {
    path: source.path,
    summary: file.summary,
    pieces: loaded ? pieces(source.text, file.data.bytes ?? []) : [WHOLE_FILE],
  };
}

/** The outermost ranges with code that never ran. V8 also reports what follows a return, such as `}`. */
function pieces(text: string, ranges: readonly { start: number; end: number; count?: number }[]): Piece[] {
  const found: Piece[] = [];
  let end = 0;
  const zero = ranges.filter((range) => range.count === 0).sort((a, b) => a.start - b.start || b.end - a.end);
  for (const range of zero) {
    if (range.end <= end) continue;
    end = range.end;
    const piece = text.slice(range.start, range.end);
    const code = piece
      .replaceAll(/\/\*[\s\S]*?\*\//g, '')
      .replaceAll(/(?<=^|[\s;{}])\/\/ .*$/gm, '')
      .replaceAll(/\s+/g, ' ')
      .trim();
    if (!/\w/.test(code)) continue;
    const lead = piece.search(/\S/);
    const line = lineAt(text, range.start + lead);
    found.push({ line, lastLine: lineAt(text, range.start + piece.trimEnd().length), code });
  }
  return found;
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}
