/**
 * Writes results.json, results.csv, report.html and the charts into a folder.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chartFiles } from '../report/charts.ts';
import { csvReport } from '../report/csv.ts';
import { htmlReport } from '../report/html.ts';
import type { Results } from './types.ts';

/** Writes all files and returns the names of the main ones. */
export function writeOutput(results: Results, folder: string): string[] {
  mkdirSync(folder, { recursive: true });
  const at = (name: string) => join(folder, name);
  // First the data that could not be derived again.
  writeFileSync(at('results.json'), `${JSON.stringify(results, null, 1)}\n`);
  writeFileSync(at('results.csv'), csvReport(results));
  for (const { name, svg } of chartFiles(results)) writeFileSync(at(`${name}.svg`), `${svg}\n`);
  writeFileSync(at('report.html'), htmlReport(results));
  return ['report.html', 'results.json', 'results.csv'].map(at);
}
