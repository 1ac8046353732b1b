/**
 * Fills in the defaults of a server's options and checks the options against each other, in the same way for command
 * line, environment and API.
 *
 * Pure, except for defaults that depend on the system (specs.ts). The number of threads, and whatever depends on the
 * descriptor limit, is checked in limits.ts when the server is created.
 */
import {
  type EffectiveOptions,
  type GivenOptions,
  OPTION_SPECS,
  type OptionKey,
  type OptionSpec,
} from './specs.ts';
import { checkNames, checkOption, UsageError } from './values.ts';

export type { EchoServerOptions } from './api.ts';
export { type EffectiveOptions, type GivenOptions, OPTION_SPECS, type OptionSpec } from './specs.ts';
export { LOG_LEVELS, type LogLevel, STRATEGIES, type StrategyName } from './types.ts';
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

function defaults(): EffectiveOptions {
  const values = OPTION_SPECS.map(({ key, default: value }) => [
    key,
    typeof value === 'function' ? value() : value,
  ]);
  return Object.fromEntries(values) as EffectiveOptions; // the table has these types
}

/** The options of an operator's handler. */
export type HandlerOptions = Pick<GivenOptions, 'handler' | 'handlerHeapBytes'>;

/** The name of an option at the source of its value: `--port`, `KECHO_POOL_PORT`, `port`. */
export type NameOf = (spec: OptionSpec) => string;
/** The value of an option as the user wrote it: `"5s"` where the API has 5000. */
export type WrittenOf = (spec: OptionSpec) => unknown;

/**
 * Checks the given options, one by one and together, and fills in the defaults. Throws UsageError, with the name of the
 * option from `nameOf` (by default its key in the API) and the value from `writtenOf`.
 */
export function resolveOptions(
  given: GivenOptions,
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
  if (options.handler !== undefined && options.service.length > 0) {
    refuse(specOf('handler'), `only without ${nameOf(specOf('service'))}`);
  }
  if (options.handlerHeapBytes !== undefined && options.handler === undefined) {
    refuse(specOf('handlerHeapBytes'), `only with ${nameOf(specOf('handler'))}`);
  }
  return options;
}

export function specOf(key: OptionKey): OptionSpec {
  const spec = OPTION_SPECS.find((s) => s.key === key);
  if (spec === undefined) throw new Error(`no option ${key}`);
  return spec;
}
