/** What the program makes of a command line and environment, short of running anything. */
import { complaintOf } from '../../src/cli/complaint.ts';
import { gatherOptions } from '../../src/cli/environment.ts';
import { buildProgram } from '../../src/cli/program.ts';
import { type EffectiveOptions, resolveOptions } from '../../src/options/index.ts';
import type { CommandLine, Environment } from './random-options.ts';

/** The flags that the program would serve with, or null if it would not serve; throws its usage errors. */
function parse(args: readonly string[]): Record<string, unknown> | null {
  const program = buildProgram();
  let flags: Record<string, unknown> | null = null;
  for (const command of [program, ...program.commands.filter((each) => each.name() === 'serve')]) {
    command.configureOutput({ writeOut: () => {}, writeErr: () => {}, outputError: () => {} });
    command.action((given: Record<string, unknown>, self: typeof program) => {
      flags = { ...self.parent?.opts(), ...given };
    });
  }
  program.parse(['node', 'kecho-pool', ...args]);
  return flags;
}

export function gathered(flags: Record<string, unknown>, variables: Environment): EffectiveOptions {
  const { given, nameOf, writtenOf } = gatherOptions(flags, variables);
  return resolveOptions(given, nameOf, writtenOf);
}

/** The options, or the complaint, or null where the program would print help or version. */
export function outcome(run: () => EffectiveOptions | null): EffectiveOptions | string | null {
  try {
    return run();
  } catch (error) {
    if ((error as { exitCode?: number }).exitCode === 0) return null; // help or version
    const complaint = complaintOf(error, buildProgram());
    if (complaint === null) throw error;
    return complaint;
  }
}

/** What the program would serve with, or complain about, without a process of its own. */
export function effective({ args, environment: variables }: CommandLine): EffectiveOptions | string | null {
  return outcome(() => {
    const flags = parse(args);
    return flags === null ? null : gathered(flags, variables);
  });
}
