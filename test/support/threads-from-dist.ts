/**
 * Set-up of each test file: threads of servers in the test's process load the bundles in dist, if children come from
 * there, and those that are made to fail (faults.ts) the bundles of faulty/.
 */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Piscina } from 'piscina';
import { FAULTY_BUNDLES } from './faulty-bundles.ts';
import { FROM_DIST } from './from-dist.ts';

const require = createRequire(import.meta.url);
const Real = require('piscina') as typeof Piscina;
const threads = require('node:worker_threads') as { Worker: unknown };
const { Worker } = threads;
const DIST = fileURLToPath(new URL('../../dist/workers', import.meta.url));

class FromDist extends Real {
  constructor(options: ConstructorParameters<typeof Piscina>[0]) {
    const folder = threads.Worker === Worker ? DIST : FAULTY_BUNDLES;
    const module = /\/workers\/([\w-]+)\.ts$/.exec(options?.filename ?? '')?.[1];
    const filename = module === undefined ? (options?.filename ?? null) : join(folder, `${module}.cjs`);
    super({ ...options, filename });
  }
}

// What `import { Piscina }` yields, once it is imported.
if (FROM_DIST) Object.defineProperty(Real, 'Piscina', { value: FromDist });
