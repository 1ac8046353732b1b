/**
 * Goal: the README's figures of the strategies are those of bench/results, and no result names a folder of the machine
 * on which it was measured.
 * Method: the README's table against the medians of results.csv; a search in every file.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { figure } from '../bench/report/format.ts';
import { median } from '../bench/stats/summary.ts';
import { STRATEGIES } from '../src/options/index.ts';

const RESULTS = new URL('../bench/results/', import.meta.url);

it.each(readdirSync(RESULTS))('%s names no folder of the machine', (name) => {
  expect(readFileSync(new URL(name, RESULTS), 'utf8')).not.toMatch(
    /(^|[^\w.])\/(home|root|tmp|work|Users)\//m,
  );
});

/** Experiment, point and figure of each row. */
const ROWS = [
  ['response', '1000', 'averageMs'],
  ['response', '1000', 'worstMs'],
  ['churn', '20', 'perSecond'],
  ['blocking', '20', 'averageMs'],
  ['cpu-bound', '10', 'averageMs'],
  ['cpu-bound', '10', 'worstMs'],
  ['throughput', '2', 'cpuPerRequestUs'],
  ['idle', '10000', 'memoryPerConnectionKib'],
] as const;

describe('the table of strategies in the README', () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [, table = ''] = /\n\| load \| kthread \| [^\n]*\n\|[-|]+\n((?:\|[^\n]*\n)+)/.exec(readme) ?? [];
  const lines = table.trimEnd().split('\n');
  // The columns used here contain no commas or quotation marks.
  const [head = [], ...runs] = readFileSync(new URL('results.csv', RESULTS), 'utf8')
    .split('\r\n')
    .map((line) => line.split(','));

  /** The median of a figure over the runs of a server at a point. */
  function measured(experiment: string, point: string, server: string, metric: string): string {
    const at = (run: readonly string[], column: string) => run[head.indexOf(column)];
    const found = runs.filter(
      (run) =>
        at(run, 'experiment') === experiment && at(run, 'point') === point && at(run, 'server') === server,
    );
    return figure(median(found.map((run) => Number(at(run, metric)))));
  }

  it('has these rows', () => {
    expect(lines).toHaveLength(ROWS.length);
  });

  it.each(ROWS.map((row, i) => [...row, lines[i] ?? ''] as const))(
    '%s, %s: %s',
    (experiment, point, metric, line) => {
      const cells = line
        .split('|')
        .slice(2, 2 + STRATEGIES.length)
        .map((cell) => cell.replaceAll('*', '').trim());
      const figures = cells.map((cell) => /^[\d.,]+/.exec(cell)?.[0]);
      expect(figures.some((shown) => shown !== undefined)).toBe(true);
      for (const [i, shown] of figures.entries()) {
        if (shown !== undefined) expect(shown).toBe(measured(experiment, point, STRATEGIES[i] ?? '', metric));
      }
    },
  );
});
