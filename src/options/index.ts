/**
 * The options of a server: defaults, and the checks of one against another. One schema for the command line,
 * the environment and the API.
 *
 * Pure but for the default of `cpus` and `workers`, which asks the system how many it has. Numbers of threads and
 * limits that depend on the descriptor limit are checked and worked out in limits.ts, when the server is made.
 */
import { availableParallelism } from 'node:os';
import { CPU_INTENSIVE_THRESH_MS, IDLE_WORKER_TIMEOUT_MS, WQ_DFL_ACTIVE } from '../memory/predicates.ts';
import { OPTION_SPECS, type OptionKey, type OptionSpec } from './specs.ts';
import type { EchoServerOptions, EffectiveOptions } from './types.ts';
import { checkNames, checkOption, UsageError } from './values.ts';

export { OPTION_SPECS, type OptionSpec } from './specs.ts';
export {
  type EchoServerOptions,
  type EffectiveOptions,
  LOG_LEVELS,
  type LogLevel,
  STRATEGIES,
  type StrategyName,
} from './types.ts';
export {
  allowed,
  checkMethods,
  checkNames,
  checkObject,
  parseOption,
  printable,
  shortened,
  UsageError,
} from './values.ts';

export const DEFAULT_MAX_WORKERS = 512;

function defaults(): EffectiveOptions {
  return {
    strategy: 'cmwq',
    port: 12345,
    host: '127.0.0.1',
    backlog: 4096,
    reusePort: false,
    admin: undefined,
    workers: availableParallelism(),
    cpus: Math.min(256, availableParallelism()),
    maxWorkers: undefined,
    idleTimeoutMs: IDLE_WORKER_TIMEOUT_MS,
    maxActive: WQ_DFL_ACTIVE,
    cpuIntensiveThreshMs: CPU_INTENSIVE_THRESH_MS,
    hangTimeoutMs: 0,
    hangKill: false,
    service: [],
    maxConnections: undefined,
    maxConnectionsPerAddress: 0,
    ipv6PrefixLength: 64,
    maxQueue: 65536,
    maxQueueAgeMs: 0,
    maxSpillBytes: 64 * 2 ** 20,
    socketTimeoutMs: 0,
    writeTimeoutMs: 30_000,
    keepaliveTimeMs: 60_000,
    keepaliveIntervalMs: 10_000,
    keepaliveProbes: 6,
    userTimeoutMs: 120_000,
    drainTimeoutMs: 10_000,
    logLevel: 'info',
    pretty: process.stdout.isTTY === true,
  };
}

/** How an option is called where its value came from: `--port`, `KECHO_POOL_PORT`, `port`. */
export type NameOf = (spec: OptionSpec) => string;
/** The value of an option as the user wrote it: `"5s"` where the API has 5000. */
export type WrittenOf = (spec: OptionSpec) => unknown;

/**
 * Checks given options, one by one and together, and fills in the defaults. Throws UsageError.
 * `nameOf` names an option in the error, by default its key in the API, and `writtenOf` has the value that is shown.
 */
export function resolveOptions(
  given: EchoServerOptions,
  nameOf: NameOf = (spec) => spec.key,
  writtenOf: WrittenOf = (spec) => given[spec.key],
): EffectiveOptions {
  const refuse = (spec: OptionSpec, allowed: string) => {
    throw new UsageError(nameOf(spec), writtenOf(spec), allowed);
  };
  checkNames(
    given,
    OPTION_SPECS.map(({ key }) => key),
  );
  const options = defaults();
  const explicit = OPTION_SPECS.filter((spec) => given[spec.key] !== undefined);
  for (const spec of explicit) {
    Object.assign(options, { [spec.key]: checkOption(spec, given[spec.key], nameOf(spec)) });
  }
  for (const spec of explicit) {
    if (spec.only === undefined || spec.only.includes(options.strategy)) continue;
    refuse(
      spec,
      `only with ${nameOf(specOf('strategy'))} ${spec.only.join(' or ')}, not ${options.strategy}`,
    );
  }
  if (options.hangKill && options.hangTimeoutMs === 0) {
    refuse(specOf('hangKill'), `only with ${nameOf(specOf('hangTimeoutMs'))} above 0`);
  }
  return options;
}

export function specOf(key: OptionKey): OptionSpec {
  const spec = OPTION_SPECS.find((s) => s.key === key);
  if (spec === undefined) throw new Error(`no option ${key}`);
  return spec;
}
