/** The options of `npm run bench:parity`. Pure. */
import { availableParallelism } from 'node:os';
import { names } from '../../../src/options/values.ts';
import { destinationFlag, numberFlag, parseFlags } from '../../flags.ts';
import { CELLS, type Cell } from './cells.ts';

export interface ParityOptions {
  repeat: number;
  /** Measured window of one run. */
  seconds: number;
  warmupSeconds: number;
  /** CPU pools of cmwq, and worker threads of the C server. */
  cpus: number;
  seed: number;
  cells: readonly Cell[];
  /** Further arguments of the cmwq server. */
  serverArgs: readonly string[];
  /** File for the raw results; - for standard output, instead of the report. */
  json?: string;
}

export const USAGE = `usage: npm run bench:parity -- [options]

  --repeat N       runs of every server in every cell (5; 2 with --quick)
  --seconds S      measured window of one run (2; 0.5 with --quick)
  --warmup S       load before the window opens (1; 0.5 with --quick)
  --quick          a smoke test, not a measurement, in less than a minute
  --cells A,B      only these of ${CELLS.map((cell) => cell.name).join(',')}
  --cpus N         CPU pools of cmwq and worker threads of the C server
                   (available parallelism)
  --server-arg A   a further argument for the cmwq server; may be repeated
  --seed N         seed of the order of the runs (random)
  --json FILE      write raw results and the environment to FILE; - for
                   standard output, instead of the report
  --help           this text
`;

const FLAGS = {
  repeat: { type: 'string' },
  seconds: { type: 'string' },
  warmup: { type: 'string' },
  quick: { type: 'boolean', default: false },
  cells: { type: 'string' },
  cpus: { type: 'string' },
  'server-arg': { type: 'string', multiple: true },
  seed: { type: 'string' },
  json: { type: 'string' },
} as const;

const SEED_MAX = 2 ** 31 - 1;

function chosenCells(text: string): Cell[] {
  const chosen = names(CELLS.map(({ name }) => name))(text, '--cells');
  return CELLS.filter(({ name }) => chosen.includes(name));
}

/** The options of a command line. Throws UsageError. */
export function parityOptions(args: string[]): ParityOptions {
  const flags = parseFlags({ args, options: FLAGS, strict: true });
  const standard = flags.quick
    ? { repeat: 2, seconds: 0.5, warmup: 0.5 }
    : { repeat: 5, seconds: 2, warmup: 1 };
  const cpus = flags.cpus ?? String(availableParallelism());
  const seed = flags.seed ?? String(Math.floor(Math.random() * SEED_MAX));
  return {
    repeat: numberFlag('--repeat', flags.repeat ?? String(standard.repeat), 1, 100),
    seconds: numberFlag('--seconds', flags.seconds ?? String(standard.seconds), 0.1, 60, true),
    warmupSeconds: numberFlag('--warmup', flags.warmup ?? String(standard.warmup), 0, 60, true),
    cpus: numberFlag('--cpus', cpus, 1, 256),
    seed: numberFlag('--seed', seed, 0, SEED_MAX),
    cells: flags.cells === undefined ? CELLS : chosenCells(flags.cells),
    serverArgs: flags['server-arg'] ?? [],
    ...(flags.json === undefined ? {} : { json: destinationFlag('--json', flags.json) }),
  };
}
