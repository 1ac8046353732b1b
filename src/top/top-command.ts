/**
 * `kecho-pool top [admin address]`: what a running server does, like top(1).
 *
 * Exit codes: 0 done, 1 the server cannot be reached (without a screen), 2 usage.
 */
import { canDraw } from '../terminal/screen.ts';
import { live } from './live.ts';
import { plain } from './plain.ts';
import { type TopOptions, topOptions, USAGE } from './top-options.ts';

const EXIT = { done: 0, failed: 1, usage: 2 } as const;

function complain(error: unknown): void {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`kecho-pool top: ${message.replaceAll(/\s*\n\s*/g, ' ')}\n`);
}

/** Runs the command and returns its exit code. */
export async function topMain(argv: readonly string[]): Promise<number> {
  let options: TopOptions | 'help';
  try {
    options = topOptions(argv, process.env);
  } catch (error) {
    complain(`${(error as Error).message}; see kecho-pool top --help`);
    return EXIT.usage;
  }
  if (options === 'help') {
    process.stdout.write(USAGE);
    return EXIT.done;
  }
  try {
    if (options.once || options.json || !canDraw(process.stdout, process.env)) await plain(options);
    else await live(options);
    return EXIT.done;
  } catch (error) {
    complain(error);
    return EXIT.failed;
  }
}
