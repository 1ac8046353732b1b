/**
 * Options of the kecho-pool servers that `compare` starts, given as text (`--server-arg`, `--variant`): checked before
 * the first run, by the server's own rules.
 *
 * Main thread only; no state. Which numbers of threads are allowed depends on the descriptor limit, as for a server.
 */
import { Command } from 'commander';
import type { VariantOption } from '../../bench/compare/compare-options.ts';
import { type EffectiveOptions, OPTION_SPECS, type OptionSpec, resolveOptions } from '../options/index.ts';
import { computeLimits } from '../options/limits.ts';
import type { StrategyName } from '../options/types.ts';
import { UsageError } from '../options/values.ts';
import { descriptorLimit } from '../sys/socket.ts';
import { complaintOf } from './complaint.ts';
import { gatherOptions } from './environment.ts';
import { withCommonSettings } from './flags.ts';
import { allServerFlags } from './server-options.ts';

/** Options of compare itself, for all servers: in one server they would change its load. */
const LOAD: readonly string[] = ['service', 'handler', 'handlerHeapBytes'];
/** Without these compare does not find its servers. */
const FIXED: readonly string[] = ['host', 'port', 'pretty', 'logLevel'];

function whyRefused({ key, flag }: OptionSpec): string | null {
  if (LOAD.includes(key)) return `use compare's own --${flag}, which applies to all kecho-pool servers`;
  return FIXED.includes(key) ? 'compare sets this option itself' : null;
}

function parsedServer(command: Command, words: readonly string[]): EffectiveOptions {
  command.parse([...words], { from: 'user' });
  const { given, nameOf, writtenOf } = gatherOptions(command.opts(), {});
  for (const spec of OPTION_SPECS) {
    const why = given[spec.key] === undefined ? null : whyRefused(spec);
    if (why !== null) throw new UsageError(nameOf(spec), String(writtenOf(spec)), why);
  }
  const options = resolveOptions(given, nameOf, writtenOf);
  computeLimits(options, descriptorLimit(), given);
  return options;
}

/** The options of a server with these arguments. Throws UsageError, which names `source` and the server. */
function serverOptions(
  words: readonly string[],
  source: string,
  server: string,
  hint = '',
): EffectiveOptions {
  const command = withCommonSettings(new Command('kecho-pool serve'));
  for (const option of allServerFlags()) command.addOption(option);
  try {
    return parsedServer(command, words);
  } catch (error) {
    const complaint = complaintOf(error, command);
    if (complaint === null) throw error;
    throw new UsageError(source, words.join(' '), `${complaint}${hint}`, server);
  }
}

const VARIANT_HINT = ' (--variant gives options to one server)';

/** Checks `--server-arg` with each strategy. */
export function checkServerArgs(strategies: readonly StrategyName[], serverArgs: readonly string[]): void {
  for (const strategy of strategies)
    serverOptions(['--strategy', strategy, ...serverArgs], '--server-arg', strategy, VARIANT_HINT);
}

/** A variant as text, its words not yet checked. */
export interface VariantText {
  name: string;
  words: string[];
}

export function checkedVariant({ name, words }: VariantText, serverArgs: readonly string[]): VariantOption {
  const { strategy } = serverOptions([...serverArgs, ...words], '--variant', name);
  return { name, strategy: strategy as StrategyName, args: words }; // a choice among the strategies
}

function specNamed(word: string): OptionSpec | undefined {
  const [, long, short] = /^(?:--(?:no-)?([a-z\d-]+)|-([a-z]))/i.exec(word) ?? [];
  return OPTION_SPECS.find((spec) => (long === undefined ? spec.short === short : spec.flag === long));
}

/** One argument of a server, with its value after "=": further words would be options or arguments of compare. */
export function serverArg(text: string, source: string): string {
  const spec = /^-/.test(text) ? specNamed(text) : undefined;
  if (spec === undefined)
    throw new UsageError(source, text, `an option of the server, as in ${source}=--cpus=4`);
  const why = spec.key === 'strategy' ? 'use --strategies or --variant' : whyRefused(spec);
  if (why !== null) throw new UsageError(source, text, why);
  if (spec.kind.type === 'boolean' || text.startsWith(`--${spec.flag}=`)) return text;
  throw new UsageError(source, text, `with its value after =, as in ${source}=--${spec.flag}=VALUE`);
}
