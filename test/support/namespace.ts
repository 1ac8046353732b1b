/**
 * Programs in their own network namespace, with its own loopback, ports and, optionally, hosts(5). unshare(1) and ip(8)
 * make it; where they are not permitted, as without root, tests that need it are skipped.
 */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Child } from './child.ts';

export interface NamespaceOptions {
  /** ip_local_port_range: the first and last port that connect(2) assigns. */
  ports?: readonly [first: number, last: number];
  /** The text of /etc/hosts. */
  hosts?: string;
}

const SETUP = [
  'set -e',
  'ip link set lo up',
  'if [ -n "$PORTS" ]; then echo "$PORTS" > /proc/sys/net/ipv4/ip_local_port_range; fi',
  'if [ -n "$HOSTS" ]; then mount -t tmpfs none /mnt; printf "%s" "$HOSTS" > /mnt/hosts; mount --bind /mnt/hosts /etc/hosts; fi',
  'exec "$@"',
].join('\n');

function unshareArguments(command: readonly string[]): string[] {
  return ['--net', '--mount', 'sh', '-c', SETUP, 'sh', ...command];
}

function variables({ ports, hosts }: NamespaceOptions): Record<string, string> {
  return { PORTS: ports?.join(' ') ?? '', HOSTS: hosts ?? '' };
}

/** Why namespaces cannot be made here, or null. */
export const noNamespace: string | null = (() => {
  const env = { ...process.env, ...variables({ ports: [40_000, 40_001], hosts: '::1 localhost\n' }) };
  const { status, stderr, error } = spawnSync('unshare', unshareArguments(['true']), {
    env,
    encoding: 'utf8',
  });
  if (status === 0) return null;
  return `no network namespace can be made: ${error?.message ?? stderr.trim()}`;
})();

/** Starts a command in a new namespace. Node runs a command that ends in .ts, from this repository. */
export function inNamespace(command: readonly string[], options: NamespaceOptions = {}): Child {
  const [name = '', ...rest] = command;
  const program = name.endsWith('.ts')
    ? [process.execPath, fileURLToPath(new URL(`../../${name}`, import.meta.url))]
    : [name];
  return new Child('unshare', unshareArguments([...program, ...rest]), { env: variables(options) });
}
