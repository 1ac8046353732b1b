/**
 * Goal: no two words of shared memory share a byte, and each lies within its owner's lines.
 * Method: the constants of layout.ts, by its sections; the functions and views through which the source uses one tell
 * whether it is a word, a double or a 64-bit word.
 */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import * as layout from '../src/memory/layout.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SOURCE = globSync('{src,workers}/**/*.ts', { cwd: ROOT })
  .map((path) => readFileSync(`${ROOT}${path}`, 'utf8'))
  .join('\n');
const VALUES: Readonly<Record<string, unknown>> = layout;
/** POOL is cmwq's, SERVING that of the other strategies; number 0 of the spill buffers is the head of their list. */
const SHARED_ON_PURPOSE = new Set(['SERVING', 'SPILL_FREE']);

/** What has an access letter in a section of layout.ts, by the beginning of its title. */
function constantsOf(title: string): string[] {
  const text = readFileSync(`${ROOT}src/memory/layout.ts`, 'utf8');
  const section = text.split('\n// ---- ').find((part) => part.startsWith(title)) ?? '';
  return [...section.matchAll(/^\/\*\* [IMWSC] {2}.*?\*\/\nexport const ([A-Z_]+) =/gms)]
    .map(([, name]) => name as string) // the group is not optional
    .filter((name) => !SHARED_ON_PURPOSE.has(name));
}

/** In words of 32 bits. */
function placeOf(name: string): { name: string; from: number; to: number } {
  const is64 = new RegExp(`(Double|Long)\\([^\\n]*\\b${name}\\)|\\b(doubles|longs)(\\[|, )${name}\\b`).test(
    SOURCE,
  );
  const size = is64 ? 2 : 1;
  const from = (VALUES[name] as number) * size;
  return { name, from, to: from + size };
}

const shared = layout.SharedState.create({ cpus: 2, workers: 2, fdLimit: 2, spills: 0 });

it.each([
  { title: 'Global words', size: shared.poolWord(0, 0), atLeast: 15 },
  { title: 'Words of a CPU pool', size: shared.poolWord(1, 0) - shared.poolWord(0, 0), atLeast: 14 },
  { title: 'Words of a worker', size: shared.workerWord(2, 0) - shared.workerWord(1, 0), atLeast: 21 },
  { title: 'Words of a connection', size: shared.connWord(1, 0), atLeast: 11 },
  { title: 'Words of a spill buffer', size: shared.spillWord(1, 0), atLeast: 3 },
])('$title do not overlap', ({ title, size, atLeast }) => {
  const places = constantsOf(title)
    .map(placeOf)
    .sort((a, b) => a.from - b.from);
  expect(places.length).toBeGreaterThanOrEqual(atLeast);
  for (const [i, { name, to }] of places.entries())
    expect(to, `${name} ends`).toBeLessThanOrEqual(places[i + 1]?.from ?? size);
});
