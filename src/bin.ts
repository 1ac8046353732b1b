#!/usr/bin/env node
/**
 * The executable: checks that this Node and this system will do, then loads the program.
 *
 * Everything else is loaded afterwards and only then, because the dependencies do not parse on an old Node.
 */
// Before anything else: at SIGUSR1 Node would open its debugger (src/sys/signals.ts).
process.on('SIGUSR1', () => {});

const NEEDED = '^24.20.0 || >=26.6.0';

function isSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  if (major === 24) return minor >= 20;
  return major === 26 ? minor >= 6 : major > 26;
}

function refuse(why: string): void {
  process.stderr.write(`kecho-pool: ${why}\n`);
  process.exitCode = 2;
}

if (!isSupported(process.versions.node)) {
  refuse(`this is Node ${process.versions.node}, and Node ${NEEDED} is needed`);
} else if (process.platform !== 'linux') {
  refuse(`this is ${process.platform}, and kecho-pool runs on Linux only (it uses epoll)`);
} else {
  const { main } = await import('./cli/program.ts');
  await main(process.argv);
}

export {};
