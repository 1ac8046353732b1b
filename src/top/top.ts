/**
 * `kecho-pool top`: shows a running server's load and workers, like top(1).
 */
import { canDraw } from '../terminal/screen.ts';
import { live } from './live.ts';
import { plain } from './plain.ts';
import type { TopOptions } from './top-options.ts';

/** Returns the exit code. Throws when the server cannot be reached and nothing is drawn on a terminal. */
export async function runTop(options: TopOptions): Promise<number> {
  if (options.once || options.json || !canDraw(process.stdout, process.env)) await plain(options);
  else await live(options);
  return 0;
}
