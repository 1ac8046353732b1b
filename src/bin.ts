#!/usr/bin/env node
/**
 * The executable: checks the Node version and the platform, then loads the program.
 *
 * It imports nothing else statically, because the dependencies do not parse on an old Node.
 */
import { whyUnsupported } from './sys/node-version.ts';

// Must come first: on SIGUSR1 Node would open its debugger (src/sys/signals.ts).
process.on('SIGUSR1', () => {});

/** For macOS and Windows, whose Docker and Podman run Linux; from a folder with this repository. */
const CONTAINER =
  'docker build --file Containerfile --tag kecho-pool . && docker run --rm --publish 127.0.0.1:12345:12345 kecho-pool';

function refuse(reason: string): void {
  process.stderr.write(`kecho-pool: ${reason}\n`);
  process.exitCode = 2;
}

const why = whyUnsupported();
if (why !== null) {
  refuse(why);
} else if (process.platform !== 'linux') {
  refuse(`Linux is required (for epoll), this is ${process.platform}; in a container: ${CONTAINER}`);
} else {
  const { main } = await import('./cli/program.ts');
  await main(process.argv);
}
