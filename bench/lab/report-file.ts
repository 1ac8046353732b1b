import { writeFileSync } from 'node:fs';

/** Writes a report to standard output, and to `file` (--output, checked by fileFlag) if given. */
export function putReport(lines: readonly string[], file: string | undefined): void {
  const text = `${lines.join('\n')}\n`;
  process.stdout.write(text);
  if (file !== undefined) writeFileSync(file, text);
}
