/**
 * Set-up of a run whose threads come from dist: bundles the modules of faulty/ as `npm run build` bundles those of workers/.
 * Other runs may read the bundles meanwhile, so each is replaced in one step.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };

const ROOT = join(import.meta.dirname, '../..');
const CACHE = join(ROOT, 'node_modules/.cache/kecho-pool');
export const FAULTY_BUNDLES = join(CACHE, 'faulty');

/** The command of `npm run build:workers` for faulty/ in place of workers/. */
function bundle(folder: string): void {
  const [command = '', ...args] = packageJson.scripts['build:workers'].split(' ');
  const faulty = args.map((arg) => arg.replace(/^workers\//, 'test/support/faulty/'));
  const wanted = faulty.filter((arg) => arg.startsWith('--') || existsSync(join(ROOT, arg)));
  const all = wanted.map((arg) => (arg.startsWith('--outdir=') ? `--outdir=${folder}` : arg));
  execFileSync(join(ROOT, 'node_modules/.bin', command), all, { cwd: ROOT });
}

export default function setup(): void {
  mkdirSync(FAULTY_BUNDLES, { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'bundle-'));
  try {
    bundle(folder);
    for (const name of readdirSync(folder)) renameSync(join(folder, name), join(FAULTY_BUNDLES, name));
  } finally {
    rmSync(folder, { recursive: true });
  }
}
