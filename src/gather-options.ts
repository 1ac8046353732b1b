/**
 * The options of a command line: from flags and environment. Pure.
 */
import {
  type EchoServerOptions,
  type NameOf,
  OPTION_SPECS,
  type OptionSpec,
  parseOption,
  type WrittenOf,
} from './options.ts';

const PREFIX = 'KECHO_POOL_';

export function environmentName(spec: OptionSpec): string {
  return `${PREFIX}${spec.flag.replaceAll('-', '_').toUpperCase()}`;
}

/** Options given by flags (a commander opts object) and environment; a flag wins. Throws UsageError. */
export function gatherOptions(
  flags: Record<string, unknown>,
  environment: NodeJS.ProcessEnv,
): { given: EchoServerOptions; nameOf: NameOf; writtenOf: WrittenOf } {
  const given: Record<string, unknown> = {};
  const sources = new Map<OptionSpec, { name: string; written: unknown }>();
  for (const spec of OPTION_SPECS) {
    const flag = flags[camelCase(spec.flag)];
    const variable = environment[environmentName(spec)];
    const isSet = variable !== undefined && variable !== '';
    if (flag === undefined && !isSet) continue;
    const name = flag === undefined ? environmentName(spec) : `--${spec.flag}`;
    const written = flag ?? variable;
    sources.set(spec, { name, written });
    given[spec.key] =
      typeof written === 'boolean' || Array.isArray(written)
        ? written
        : parseOption(spec, String(written), name);
  }
  return {
    given: given as EchoServerOptions,
    nameOf: (spec) => sources.get(spec)?.name ?? `--${spec.flag}`,
    writtenOf: (spec) => sources.get(spec)?.written,
  };
}

function camelCase(flag: string): string {
  return flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * Variables that look like options and are none: slips of the pen. To be told of, not refused: Kubernetes makes
 * variables for each of its services, and one may be called kecho-pool.
 */
export function unknownVariables(environment: NodeJS.ProcessEnv): string[] {
  const known = new Set(OPTION_SPECS.map(environmentName));
  return Object.keys(environment).filter((name) => name.startsWith(PREFIX) && !known.has(name));
}
