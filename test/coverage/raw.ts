/**
 * V8's coverage of our sources, merged over all processes and threads.
 *
 * Each thread writes a file of some 200 KB when it ends, and a run has thousands of threads. So files are read and
 * deleted during the run; of each source only distinct coverages are kept, with counts reduced to 0 and 1.
 */
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { stripTypeScriptTypes } from 'node:module';
import { fileURLToPath } from 'node:url';

interface Range {
  startOffset: number;
  endOffset: number;
  count: number;
}

export interface FunctionCoverage {
  functionName: string;
  isBlockCoverage: boolean;
  ranges: Range[];
}

interface ScriptCoverage {
  url: string;
  functions: FunctionCoverage[];
}

/** A source as V8 saw it, and the distinct coverages of it. */
export interface Source {
  /** Relative to the root. */
  path: string;
  url: string;
  /** The text with types blanked out: the offsets are those of the file. */
  text: string;
  /** JSON of FunctionCoverage[]. */
  readonly variants: Set<string>;
}

export class RawCoverage {
  readonly sources = new Map<string, Source>();
  /** Coverage files read: one per thread or process. */
  files = 0;
  /** Coverages of a source that has changed since it was read: ignored. */
  changed = 0;

  /** `root` is a directory URL; `paths` are the sources below it. */
  constructor(root: URL, paths: readonly string[]) {
    for (const path of paths) {
      const url = new URL(path, root);
      const text = stripTypeScriptTypes(readFileSync(url, 'utf8'));
      this.sources.set(url.href, { path, url: url.href, text, variants: new Set() });
    }
  }

  /** Reads and deletes the files in `folder`; one that is still being written stays for the next time. */
  collect(folder: URL): void {
    for (const name of readdirSync(folder)) {
      const file = new URL(name, folder);
      let scripts: ScriptCoverage[];
      try {
        scripts = (JSON.parse(readFileSync(file, 'utf8')) as { result: ScriptCoverage[] }).result;
      } catch {
        continue;
      }
      rmSync(file);
      this.files++;
      for (const script of scripts) this.add(script);
    }
  }

  private add({ url, functions }: ScriptCoverage): void {
    const source = this.sources.get(url);
    if (source === undefined) return;
    // Node appends this when it strips types.
    const length = source.text.length + `\n\n//# sourceURL=${url}`.length;
    if (functions[0]?.ranges[0]?.endOffset !== length) {
      this.changed++;
      return;
    }
    const cut = functions.map((f) => ({
      ...f,
      ranges: f.ranges.map((range) => ({ ...range, count: Math.min(1, range.count) })),
    }));
    source.variants.add(JSON.stringify(cut));
  }
}

/** The .ts files below these folders of `root`, sorted. */
export function sourcePaths(root: URL, folders: readonly string[]): string[] {
  return folders
    .flatMap((folder) =>
      readdirSync(fileURLToPath(new URL(folder, root)), { recursive: true, encoding: 'utf8' })
        .filter((name) => name.endsWith('.ts'))
        .map((name) => `${folder}/${name}`),
    )
    .sort();
}
