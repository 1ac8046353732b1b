/**
 * Set-up of each test file: threads of servers in the test's process load the bundles in dist, if children come from
 * there. Threads that are made to fail (faults.ts) load the sources.
 */
import { createRequire } from 'node:module';
import type { Piscina } from 'piscina';
import { FROM_DIST } from './from-dist.ts';

const require = createRequire(import.meta.url);
const Real = require('piscina') as typeof Piscina;
const threads = require('node:worker_threads') as { Worker: unknown };
const { Worker } = threads;

class FromDist extends Real {
  constructor(options: ConstructorParameters<typeof Piscina>[0]) {
    const filename = options?.filename?.replace(/\/workers\/([\w-]+)\.ts$/, '/dist/workers/$1.cjs') ?? null;
    super(threads.Worker === Worker ? { ...options, filename } : options);
  }
}

// What `import { Piscina }` yields, once it is imported.
if (FROM_DIST) Object.defineProperty(Real, 'Piscina', { value: FromDist });
