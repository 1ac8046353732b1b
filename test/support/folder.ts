import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** An empty folder, removed with its content after the test; more than a few files may take longer than the default. */
export function temporaryFolder(removalMs?: number): string {
  const folder = mkdtempSync(join(tmpdir(), 'kecho-pool-'));
  onTestFinished(() => rmSync(folder, { recursive: true }), removalMs);
  return folder;
}
