/** A file, read for each request: from the page cache, so it hardly ever sleeps. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const path = fileURLToPath(import.meta.url);

export default function handle(): void {
  readFileSync(path);
}
