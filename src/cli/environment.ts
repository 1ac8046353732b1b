/**
 * Merges the options given by flags and by environment variables. Pure.
 */
import {
  type GivenOptions,
  type NameOf,
  OPTION_SPECS,
  type OptionSpec,
  parseOption,
  type WrittenOf,
} from '../options/index.ts';

const PREFIX = 'KECHO_POOL_';

/**
 * Variables that Kubernetes sets in containers for a service named kecho-pool or kecho-pool-<anything>:
 * KECHO_POOL_SERVICE_HOST, KECHO_POOL_PORT_12345_TCP_ADDR, ..., and KECHO_POOL_PORT, which differs from the option
 * only by its value.
 */
const SERVICE_LINK =
  /_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)$/;
const SERVICE_LINK_URL = /^(?:tcp|udp|sctp):\/\/(?:[\d.]+|\[[\da-f:.]+\]):\d+$/;

function isServiceLink(name: string, value: string): boolean {
  return SERVICE_LINK.test(name) || (name.endsWith('_PORT') && SERVICE_LINK_URL.test(value));
}

export function environmentName(spec: OptionSpec): string {
  return `${PREFIX}${spec.flag.replaceAll('-', '_').toUpperCase()}`;
}

/** Options, with their names and values as the user wrote them. */
export interface Gathered {
  given: GivenOptions;
  nameOf: NameOf;
  writtenOf: WrittenOf;
}

/** Options given by flags (a commander opts object) and environment; a flag wins. Throws UsageError. */
export function gatherOptions(flags: Record<string, unknown>, environment: NodeJS.ProcessEnv): Gathered {
  const given: Record<string, unknown> = {};
  const sources = new Map<OptionSpec, { name: string; written: unknown }>();
  for (const spec of OPTION_SPECS) {
    const flag = flags[camelCase(spec.flag)];
    const variableName = environmentName(spec);
    const variable = environment[variableName] ?? '';
    const isSet = variable !== '' && !isServiceLink(variableName, variable);
    if (flag === undefined && !isSet) continue;
    const name = flag === undefined ? variableName : `--${spec.flag}`;
    const written = flag ?? variable;
    sources.set(spec, { name, written });
    given[spec.key] =
      typeof written === 'boolean' || Array.isArray(written)
        ? written
        : parseOption(spec, String(written), name);
  }
  return {
    given: given as GivenOptions,
    nameOf: (spec) => sources.get(spec)?.name ?? `--${spec.flag}`,
    writtenOf: (spec) => sources.get(spec)?.written,
  };
}

function camelCase(flag: string): string {
  return flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Variables with the prefix of the options that are not options: typos, and Kubernetes service links. */
export function unusedVariables(environment: NodeJS.ProcessEnv): {
  unknown: string[];
  serviceLinks: string[];
} {
  const options = new Set(OPTION_SPECS.map(environmentName));
  const names = Object.keys(environment).filter((name) => name.startsWith(PREFIX));
  const serviceLinks = names.filter((name) => isServiceLink(name, environment[name] ?? ''));
  return {
    unknown: names.filter((name) => !options.has(name) && !serviceLinks.includes(name)),
    serviceLinks,
  };
}
