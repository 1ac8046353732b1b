/**
 * The flags of the server, built from the specs of its options. Pure.
 *
 * The values stay text, as in the environment (environment.ts parses both); wrong text is refused here already.
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
  module: ' <file>',
  boolean: '',
};

/** The flag of an option; a boolean one also has a `--no-` flag, which is hidden from the help. */
export function serverFlags(spec: OptionSpec): Option[] {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  const only = spec.only === undefined ? '' : `${spec.only.join(', ')}: `;
  const terms = `${short}--${spec.flag}${VALUE_NAMES[spec.kind.type]}`;
  const option = new Option(terms, `${only}${spec.help} (default: ${spec.defaultText})`);
  option.helpGroup(`${spec.group}:`);
  const name = `--${spec.flag}`;
  if (spec.kind.type === 'boolean') return [option, new Option(`--no-${spec.flag}`).hideHelp()];
  if (spec.kind.type === 'services') {
    return [
      option.argParser((text, before: string[] = []) => [...before, ...checkedService(spec, text, name)]),
    ];
  }
  option.argParser((text) => {
    parseOption(spec, text, name);
    return text;
  });
  return [option];
}

function checkedService(spec: OptionSpec, text: string, name: string): string[] {
  return checkOption(spec, [text], name) as string[]; // its kind is services
}

export function allServerFlags(): Option[] {
  return OPTION_SPECS.flatMap(serverFlags);
}
