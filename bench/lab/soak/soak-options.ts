/** The options of `npm run soak`. Touches files only to check that they can be written. */
import { names, UsageError } from '../../../src/options/values.ts';
import { destinationFlag, fileFlag, numberFlag, parseFlags } from '../../flags.ts';
import { SOAK_STRATEGIES, type SoakStrategy } from './types.ts';

export interface SoakOptions {
  minutes: number;
  strategies: readonly SoakStrategy[];
  seed: number;
  /** Whether the servers are watched through admin endpoints, and their loads rest. */
  watched: boolean;
  /** File for the report, besides standard output. */
  output: string | null;
  /** File for all samples; - for standard output, instead of the report. */
  json: string | null;
}

export const USAGE = `usage: npm run soak -- --minutes N [options]

  --minutes N      total length of the load, from 0.1 to 1440; the strategies
                   get equal shares
  --strategy A,B   only these of ${SOAK_STRATEGIES.join(',')}
  --watched        attach a browser, top and /metrics clients; let the load rest
                   now and then, and judge memory at rest
  --seed N         seed of the load and of the deaths (1)
  --output FILE    also write the report to FILE
  --json FILE      write all samples and verdicts to FILE; - for standard
                   output, instead of the report
  --help           this text

Exit codes: 0 nothing failed, 1 a verdict is FAIL or a part was not completed,
2 wrong usage, 130 interrupted.
`;

const FLAGS = {
  minutes: { type: 'string' },
  strategy: { type: 'string' },
  seed: { type: 'string', default: '1' },
  watched: { type: 'boolean', default: false },
  output: { type: 'string' },
  json: { type: 'string' },
} as const;

const SEED_MAX = 2 ** 31 - 1;
const DAY_MINUTES = 1440;

/** The options of a command line. Throws UsageError. */
export function soakOptions(args: string[]): SoakOptions {
  const flags = parseFlags({ args, options: FLAGS, strict: true });
  if (flags.minutes === undefined)
    throw new UsageError('--minutes', undefined, 'how long the load is to run', 'a value is missing');
  return {
    minutes: numberFlag('--minutes', flags.minutes, 0.1, DAY_MINUTES, true),
    strategies:
      flags.strategy === undefined ? SOAK_STRATEGIES : names(SOAK_STRATEGIES)(flags.strategy, '--strategy'),
    seed: numberFlag('--seed', flags.seed, 0, SEED_MAX),
    watched: flags.watched,
    output: flags.output === undefined ? null : fileFlag('--output', flags.output),
    json: flags.json === undefined ? null : destinationFlag('--json', flags.json),
  };
}
