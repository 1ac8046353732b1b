/**
 * `kecho-pool merge`: reads the results of several generators and prints them as one.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { UsageError } from '../../../src/options/values.ts';
import { mergeReport, parseResults } from './merge.ts';

export interface MergeOptions {
  files: readonly string[];
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    const why = `it cannot be read (${(error as NodeJS.ErrnoException).code})`;
    throw new UsageError(file, undefined, 'a file that bench --json has written', why);
  }
}

/** Returns the exit code. */
export async function runMerge({ files }: MergeOptions): Promise<number> {
  const twice = files.find((file, i) => files.findIndex((other) => resolve(other) === resolve(file)) !== i);
  if (twice !== undefined) throw new UsageError(twice, undefined, 'each file once', 'it is given twice');
  const { text, warnings, errorTotal } = mergeReport(files.map((file) => parseResults(file, read(file))));
  process.stdout.write(text);
  for (const warning of warnings) process.stderr.write(`kecho-pool merge: warning: ${warning}\n`);
  return errorTotal > 0 ? 1 : 0;
}
