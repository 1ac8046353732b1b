/**
 * The scale tables: CPU pools from 1 to 256, connections from 10 to 1,000,000, and skewed loads, in the simulation.
 */
import { runScale, type ScaleResult } from './scale.ts';
import { runSkewed } from './skewed.ts';

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

type Column = readonly [name: string, width: number];

const COLUMNS: readonly Column[] = [
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
];

const SKEWED_COLUMNS: readonly Column[] = [
  ['pools', 5],
  ['busy', 5],
  ['connections', 12],
  ['moved', 6],
  ['balanced ms', 12],
  ['Jain', 7],
  ['moved late', 11],
  ['virtual ms', 11],
];

function line(columns: readonly Column[], cells: readonly string[]): string {
  return columns.map(([, width], i) => (cells[i] ?? '').padStart(width)).join(' ');
}

function head(columns: readonly Column[]): string {
  return line(
    columns,
    columns.map(([name]) => name),
  );
}

function row(result: ScaleResult): string {
  const { cpus, connections, placeMs, handOffsPerItem, spread, jain, longestToShortest } = result;
  return line(COLUMNS, [
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

/** At first the connections of one CPU pool speak, or of half of them; they suffice to keep all pools at work. */
function skewedLoad(cpus: number, busy: number) {
  return { cpus, busy, connections: Math.ceil((2 * cpus) / busy), virtualMs: 1000 + 20 * cpus };
}

async function skewedRow(cpus: number, busy: number, seed: number, batch: number): Promise<string> {
  const options = skewedLoad(cpus, busy);
  const { connections, virtualMs } = options;
  const result = await runSkewed({ seed, batch, ...options });
  return line(SKEWED_COLUMNS, [
    String(cpus),
    String(busy),
    (cpus * connections).toLocaleString('en'),
    String(result.moved),
    result.balancedMs.toFixed(0),
    result.jain.toFixed(3),
    String(result.movedLate),
    String(virtualMs),
  ]);
}

/** Processors at work when all requests are at first in one CPU pool: with moves between pools, and without. */
export interface AtWork {
  cpus: number;
  moving: number;
  staying: number;
}

const MACHINES = [8, 16, 32, 64];

export async function processorsAtWork(seed: number, machines = MACHINES): Promise<AtWork[]> {
  const rows: AtWork[] = [];
  for (const cpus of machines) {
    const { atWork: moving } = await runSkewed({ seed, ...skewedLoad(cpus, 1) });
    const { atWork: staying } = await runSkewed({ seed, ...skewedLoad(cpus, 1), moves: false });
    rows.push({ cpus, moving, staying });
  }
  return rows;
}

/** Prints each row as soon as it is computed. */
export async function printTable(
  { quick, seed, batch }: TableOptions,
  print: (line: string) => void,
): Promise<void> {
  const beganMs = performance.now();
  print(`seed ${seed}, batch ${batch}; two requests per connection, on a quarter of them with a sleep`);
  const pools = quick ? QUICK_POOLS : POOLS;
  print(head(COLUMNS));
  for (const cpus of pools) {
    for (const connections of quick ? QUICK_CONNECTIONS : CONNECTIONS) {
      print(row(await runScale(cpus, connections, seed, batch)));
    }
  }
  print('');
  print('all requests at first in one CPU pool, or in half of them');
  print(head(SKEWED_COLUMNS));
  for (const cpus of pools)
    for (const busy of new Set([1, Math.ceil(cpus / 2)])) print(await skewedRow(cpus, busy, seed, batch));
  print(`${((performance.now() - beganMs) / 1000).toFixed(1)} s in total`);
}
