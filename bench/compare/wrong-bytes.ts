/** The end of the child processes that hold connections beside a load, and check what they read. */
import type { Socket } from 'node:net';

/**
 * On SIGTERM prints {"wrong": n}, resets the connections, so that none stays in TIME_WAIT, and exits. Exits, too, when
 * standard input ends.
 */
export function reportAtEnd(sockets: readonly Socket[], wrongBytes: () => number): void {
  process.on('SIGTERM', () => {
    process.stdout.write(`${JSON.stringify({ wrong: wrongBytes() })}\n`, () => {
      for (const socket of sockets) socket.resetAndDestroy();
      process.exit(0);
    });
  });
  process.stdin.on('end', () => process.exit(0)).on('error', () => process.exit(0));
  process.stdin.resume();
}
