/**
 * `npm run docs:options`: generates from the table of options docs/options.md and src/options/api.ts, the API's interfaces.
 *
 * An interface is not a mapped type over the table, like EffectiveOptions, because TypeScript 7's language service
 * shows no documentation for members of a mapped type.
 */
import { writeFileSync } from 'node:fs';
import { environmentName } from '../src/cli/environment.ts';
import {
  allowed,
  OPTION_SPECS,
  type OptionSpec,
  STRATEGIES,
  type StrategyName,
  specOf,
} from '../src/options/index.ts';

const INTRODUCTION = `# Options

What you learn here: every option of the server, with its default, the values that it takes, and its names in the environment and
in a program.

Generated from [src/options/specs.ts](../src/options/specs.ts) by \`npm run docs:options\`.

Every option can also be set in the environment: \`--max-workers 64\` is \`KECHO_POOL_MAX_WORKERS=64\`. A flag wins. An empty
variable counts as unset, unknown variables with this prefix are logged, and those that Kubernetes sets for a service named
kecho-pool (\`KECHO_POOL_PORT=tcp://10.96.12.7:12345\`, ...) are ignored. \`KECHO_POOL_SERVICE\` separates services by \`;\`. The
\`--no-\` form turns off a flag without a value; its variable takes \`true\` or \`false\`.

Durations: \`250ms\`, \`10s\`, \`5m\`; sizes: \`512KiB\` or \`512k\`, \`64MiB\` or \`64m\`, \`65536\`.

An option of another strategy is an error, also in the environment, and so is an option of the server before another command
(\`kecho-pool -p 7000 bench\`). \`--print-config\` prints the effective options as JSON and exits.

In a program, \`createEchoServer()\` takes the same options in camel case, durations in milliseconds, sizes in bytes ([api.md](api.md)).
`;

/** A flag in a text, with or without backticks. */
const FLAG = /`?--(no-)?([a-z\d-]+)`?/g;
/** Line width of src, in columns. */
const WIDTH = 110;

/** Help and details as sentences, with each flag replaced. */
function sentences({ help, details }: OptionSpec, replacement: (flag: string, no: string) => string): string {
  const text = `${help.charAt(0).toUpperCase()}${help.slice(1)}.${details === undefined ? '' : ` ${details}`}`;
  return text.replace(FLAG, (_, no: string | undefined, flag: string) => replacement(flag, no ?? ''));
}

function title({ flag, short }: OptionSpec): string {
  return `\`${short === undefined ? '' : `-${short}, `}--${flag}\``;
}

function section(spec: OptionSpec): string {
  const { key, only, kind, defaultText } = spec;
  const facts = [
    ...(only === undefined ? [] : [`Strategies: ${only.join(', ')}.`]),
    `Default: ${defaultText}.`,
    `Allowed: ${allowed(kind, true)}.`,
  ].join(' ');
  const names = `Environment: \`${environmentName(spec)}\`; in a program: \`${key}\``;
  const text = sentences(spec, (other, no) => `\`--${no}${other}\``);
  return `### ${title(spec)}\n\n${text}\n- ${facts}\n- ${names}\n`;
}

export function optionsPage(): string {
  const groups = [...Map.groupBy(OPTION_SPECS, ({ group }) => group)];
  const pages = groups.map(([group, specs]) => `## ${group}\n\n${specs.map(section).join('\n')}`);
  return [INTRODUCTION, ...pages].join('\n');
}

/** The API's type for each kind of option. */
const TYPES = {
  integer: 'number',
  duration: 'number',
  size: 'number',
  text: 'string',
  adminAddress: 'string',
  services: 'readonly string[]',
  module: 'string',
  boolean: 'boolean',
} as const;

function typeOf({ kind }: OptionSpec): string {
  return kind.type === 'choice' ? kind.among.map((name) => `'${name}'`).join(' | ') : TYPES[kind.type];
}

function member(spec: OptionSpec, declaration = `${spec.key}?: ${typeOf(spec)}`): string {
  const { only, kind, default: value, defaultText } = spec;
  const type = typeOf(spec);
  const keyOf = (name: string) => OPTION_SPECS.find(({ flag }) => flag === name)?.key;
  const text = sentences(spec, (flag, no) => `\`${keyOf(flag)}${no === '' ? '' : ': false'}\``);
  const strategies = only === undefined ? '' : ` Only with strategy ${only.join(' or ')}.`;
  const range = type === 'number' || type === 'string' ? ` Allowed: ${allowed(kind, false)}.` : ''; // the type tells the others
  const fallback = typeof value === 'number' || typeof value === 'boolean' ? value : defaultText;
  const comment = `${text}${strategies}${range} Default: ${fallback}.`;
  const lines = comment.replace(new RegExp(`(.{1,${WIDTH - 5}})(?: |$)`, 'g'), '   * $1\n');
  return `  /**\n${lines}   */\n  ${declaration};\n`;
}

/** The name of the interface for a strategy. */
function interfaceOf(strategy: string): string {
  return `${strategy.charAt(0).toUpperCase()}${strategy.slice(1)}Options`;
}

/** The options of a strategy, and those of the others as `never`: else an object without `strategy` could have them. */
function strategyInterface(strategy: StrategyName): string {
  const choice = specOf('strategy');
  const optional = strategy === choice.default ? '?' : '';
  const members = OPTION_SPECS.map((spec) => {
    if (spec.only === undefined) return '';
    return spec.only.includes(strategy) ? member(spec) : `  ${spec.key}?: never;\n`;
  });
  return `interface ${interfaceOf(strategy)} extends CommonOptions {
${member(choice, `strategy${optional}: '${strategy}'`)}${members.join('')}}
`;
}

export function optionsInterface(): string {
  const common = OPTION_SPECS.filter(({ key, only }) => key !== 'strategy' && only === undefined);
  return `/**
 * The options of the API. Generated from specs.ts by \`npm run docs:options\`.
 */

/** Options of every strategy. */
interface CommonOptions {
${common.map((spec) => member(spec)).join('')}}

${STRATEGIES.map(strategyInterface).join('\n')}
/**
 * Options of {@link createEchoServer}; the command line has the same under \`--kebab-case\` names. \`strategy\` decides
 * which of them there are.
 */
export type EchoServerOptions = ${STRATEGIES.map(interfaceOf).join(' | ')};
`;
}

/** The content of generated files. */
export const GENERATED = {
  'docs/options.md': optionsPage,
  'src/options/api.ts': optionsInterface,
};

if (import.meta.main) {
  for (const [name, content] of Object.entries(GENERATED)) {
    writeFileSync(new URL(`../${name}`, import.meta.url), content());
  }
}
