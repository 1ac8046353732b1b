/**
 * Whether dist is the build of the present sources. In `npm test` child processes and threads then come from it: they
 * start in half the time. `npm run test:full` and `npm run coverage` run the sources.
 */
import { globSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** The build writes it last. */
const LAST_BUILT = 'dist/workers/serve-fs.cjs';
/** With their folders, whose times tell that a file is gone. */
const SOURCES = ['package.json', 'tsconfig*.json', 'src/**', 'workers/**', 'bench/**'];

export function isBuilt(): boolean {
  const changedMs = (path: string) => statSync(ROOT + path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const builtMs = changedMs(LAST_BUILT);
  return globSync(SOURCES, { cwd: ROOT, exclude: ['bench/lab/**', 'bench/results/**'] }).every(
    (path) => changedMs(path) < builtMs,
  );
}

/** Whether children and threads come from dist in this run (vitest.config.ts). */
export const FROM_DIST = process.env.TEST_FROM_DIST === '1';
