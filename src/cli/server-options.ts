/**
 * The options of the server as flags, made from their specs. Pure.
 *
 * A flag keeps its text, as the environment has it (environment.ts reads both); text that is wrong is refused here.
 */
import { Option } from 'commander';
import { OPTION_SPECS, type OptionSpec, parseOption } from '../options/index.ts';
import { checkOption } from '../options/values.ts';

const VALUE_NAMES: Record<OptionSpec['kind']['type'], string> = {
  integer: ' <number>',
  duration: ' <time>',
  size: ' <size>',
  choice: ' <name>',
  text: ' <address>',
  adminAddress: ' <address>',
  services: ' <spec>',
  boolean: '',
};

/** The flag of an option; of one that is on or off two, the second of which is not in the help. */
export function serverFlags(spec: OptionSpec): Option[] {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  const only = spec.only === undefined ? '' : `${spec.only.join(', ')}: `;
  const terms = `${short}--${spec.flag}${VALUE_NAMES[spec.kind.type]}`;
  const option = new Option(terms, `${only}${spec.help} (default: ${spec.defaultText})`);
  option.helpGroup(`${spec.group}:`);
  const name = `--${spec.flag}`;
  if (spec.kind.type === 'boolean') return [option, new Option(`--no-${spec.flag}`).hideHelp()];
  if (spec.kind.type === 'services') {
    return [option.argParser((text, before: string[] = []) => [...before, ...listed(spec, text, name)])];
  }
  option.argParser((text) => {
    parseOption(spec, text, name);
    return text;
  });
  return [option];
}

function listed(spec: OptionSpec, text: string, name: string): string[] {
  return checkOption(spec, [text], name) as string[]; // of services
}

export function allServerFlags(): Option[] {
  return OPTION_SPECS.flatMap(serverFlags);
}
