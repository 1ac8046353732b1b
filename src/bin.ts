#!/usr/bin/env node
/**
 * The executable: checks the Node version and the platform, then loads the program.
 *
 * It imports nothing statically, because the dependencies do not parse on an old Node.
 */
// Must come first: on SIGUSR1 Node would open its debugger (src/sys/signals.ts).
process.on('SIGUSR1', () => {});

const NEEDED = '^24.20.0 || >=26.6.0';
/** For macOS and Windows, whose Docker and Podman run Linux; from a folder with this repository. */
const CONTAINER =
  'docker build --file Containerfile --tag kecho-pool . && docker run --rm --publish 127.0.0.1:12345:12345 kecho-pool';

function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major === 24) return minor >= 20;
  return major === 26 ? minor >= 6 : major > 26;
}

function refuse(reason: string): void {
  process.stderr.write(`kecho-pool: ${reason}\n`);
  process.exitCode = 2;
}

if (!isSupported(process.versions.node)) {
  refuse(`Node ${NEEDED} is required, this is Node ${process.versions.node}`);
} else if (process.platform !== 'linux') {
  refuse(`Linux is required (for epoll), this is ${process.platform}; in a container: ${CONTAINER}`);
} else {
  const { main } = await import('./cli/program.ts');
  await main(process.argv);
}

export {};
