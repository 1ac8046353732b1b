/**
 * Goal: the JSON Schemas in the repository match the code, and a mismatch is reported in one clear line.
 * Method: file snapshots, which `npm run schemas` writes; values that are wrong in one place.
 */
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { Results } from '../bench/compare/types.ts';
import { BenchLine } from '../bench/load/schema.ts';
import { problemOf, publishedSchema } from '../src/schema/json.ts';
import { ServerStatus } from '../src/schema/status.ts';
import { fakeStatus } from './support/fake-admin.ts';

it.each([
  ['src/admin/status.schema.json', ServerStatus],
  ['bench/compare/results.schema.json', Results],
  ['bench/load/bench.schema.json', BenchLine],
])('%s is current', async (file, schema) => {
  await expect(publishedSchema(schema)).toMatchFileSnapshot(`../${file}`);
});

describe('a status', () => {
  const status = fakeStatus(3, 2);
  const { stats } = status;

  it.each([
    ['with unknown fields', { ...status, stats: { ...stats, news: 1 }, more: {} }],
    ['of a server that does not listen', { ...status, address: null }],
    [
      'with a free slot',
      { ...status, stats: { ...stats, cpuPools: [{ ...stats.cpuPools[0], slot: 'free' }] } },
    ],
  ])('%s is accepted', (_, value) => {
    expect(problemOf(ServerStatus, value)).toBeNull();
  });

  it.each([
    [null, 'expected object, received null'],
    [[], 'expected object, received array'],
    [{}, 'version: expected string, received undefined'],
    [{ ...status, pid: '1' }, 'pid: expected number, received string'],
    [{ ...status, pid: -1 }, 'pid: Too small: expected number to be >=0'],
    [{ ...status, workers: [{}] }, 'workers.0.id: expected number, received undefined'],
    [{ ...status, address: 1 }, 'address: expected object, received number'],
    [
      { ...status, stats: { ...stats, cpuPools: [{ ...stats.cpuPools[0], slot: null }] } },
      'stats.cpuPools.0.slot: Invalid input',
    ],
  ])('%# is rejected with one line', (value, problem) => {
    expect(problemOf(ServerStatus, value)).toBe(problem);
  });
});

it('shortens and sanitizes foreign names in a message', () => {
  const name = `\u001b[31m\u009b${'x'.repeat(1000)}`;
  expect(problemOf(z.record(z.string(), z.number()), { [name]: 'not a number' })).toBe(
    `??31m?${'x'.repeat(74)}: expected number, received string`,
  );
});
