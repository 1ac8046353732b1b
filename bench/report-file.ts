/**
 * A report as text: on standard output, and in a file where one was asked for (--output). Makes its folder.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';

export function putReport(text: string, file: string | undefined): void {
  process.stdout.write(text);
  if (file === undefined) return;
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}
