/**
 * A report as text: on standard output, and in a file where one was asked for (--output, checked by fileFlag).
 */
import { writeFileSync } from 'node:fs';

export function putReport(lines: readonly string[], file: string | undefined): void {
  const text = `${lines.join('\n')}\n`;
  process.stdout.write(text);
  if (file !== undefined) writeFileSync(file, text);
}
