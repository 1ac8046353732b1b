/**
 * A report as text: on standard output, and in a file where one was asked for (--output, checked by fileFlag).
 */
import { writeFileSync } from 'node:fs';

export function putReport(text: string, file: string | undefined): void {
  process.stdout.write(text);
  if (file !== undefined) writeFileSync(file, text);
}
