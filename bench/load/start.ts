/**
 * Starts the load generator (main.ts) as a child process, and the echo server for its warm-up (echo.ts).
 */
import { join } from 'node:path';
import { ChildProcess, type Placement } from '../child-process.ts';
import { type Command, EXTENSION } from '../programs.ts';
import { ServerUnderTest } from '../server-under-test.ts';

const GENERATOR = join(import.meta.dirname, `main${EXTENSION}`);
const ECHO = join(import.meta.dirname, `echo${EXTENSION}`);

/**
 * A collection on several threads waits for the processors that the server uses (measured: 12 to 25 ms, and 0.3 to 1.6 on
 * its own); with this much room for new objects there is one in some seconds.
 */
const V8_FLAGS = ['--single-threaded-gc', '--min-semi-space-size=16', '--max-semi-space-size=16'];

/** The generator's command line, without its flags. */
export const GENERATOR_COMMAND: Command = { command: process.execPath, args: [...V8_FLAGS, GENERATOR] };

export type LoadFlags = Readonly<Record<string, string | number | boolean>>;

/** `true` is a flag without a value, `false` is left out. The child's result is a LoadResult. */
export function startLoad(
  flags: LoadFlags,
  placement: Placement = {},
  onLine?: (line: string) => void,
): ChildProcess {
  const args = Object.entries(flags).flatMap(([name, value]) =>
    typeof value === 'boolean' ? (value ? [`--${name}`] : []) : [`--${name}`, String(value)],
  );
  const { command, args: own } = GENERATOR_COMMAND;
  return new ChildProcess('load generator', command, [...own, ...args], onLine, placement);
}

export function startEcho(placement: Placement = {}): Promise<ServerUnderTest> {
  return ServerUnderTest.start(
    'own echo',
    { command: process.execPath, args: [...V8_FLAGS, ECHO] },
    placement,
  );
}
