/**
 * The scale table: CPU pools from 1 to 256, connections from 10 to 1,000,000, in the simulation.
 */
import { runScale, type ScaleResult } from './scale.ts';

const POOLS = [1, 2, 4, 16, 64, 256];
const CONNECTIONS = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
const QUICK_POOLS = [1, 2, 4, 16, 64];
const QUICK_CONNECTIONS = [10, 100, 1_000, 10_000];

export interface TableOptions {
  /** Up to 64 CPU pools and 10,000 connections. */
  quick: boolean;
  /** Decides the order of simultaneous events. */
  seed: number;
  /** Events per epoll_wait. */
  batch: number;
}

const COLUMNS = [
  ['pools', 5],
  ['connections', 12],
  ['place ms', 9],
  ['us each', 8],
  ['hand-offs', 10],
  ['spread', 7],
  ['Jain', 7],
  ['long/short', 11],
  ['threads', 8],
  ['virtual ms', 11],
] as const;

function line(cells: readonly string[]): string {
  return COLUMNS.map(([, width], i) => (cells[i] ?? '').padStart(width)).join(' ');
}

function row(result: ScaleResult): string {
  const { cpus, connections, placeMs, handOffsPerItem, spread, jain, longestToShortest } = result;
  return line([
    String(cpus),
    connections.toLocaleString('en'),
    placeMs.toFixed(1),
    ((placeMs * 1000) / connections).toFixed(2),
    handOffsPerItem.toFixed(3),
    String(spread),
    jain.toFixed(3),
    longestToShortest.toFixed(2),
    String(result.threads),
    result.virtualMs.toFixed(1),
  ]);
}

/** Prints each row as soon as it is computed. */
export async function printTable(
  { quick, seed, batch }: TableOptions,
  print: (line: string) => void,
): Promise<void> {
  const beganMs = performance.now();
  print(`seed ${seed}, batch ${batch}; two requests per connection, on a quarter of them with a sleep`);
  print(line(COLUMNS.map(([name]) => name)));
  for (const cpus of quick ? QUICK_POOLS : POOLS) {
    for (const connections of quick ? QUICK_CONNECTIONS : CONNECTIONS) {
      print(row(await runScale(cpus, connections, seed, batch)));
    }
  }
  print(`${((performance.now() - beganMs) / 1000).toFixed(1)} s in total`);
}
