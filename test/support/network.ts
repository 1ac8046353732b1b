/**
 * Hosts on a bridge: each is a network namespace with an address of its own, made by the test as root, without effect on
 * the network of this machine. They vanish with their processes.
 */
import { spawnSync } from 'node:child_process';
import { readlinkSync } from 'node:fs';
import { Child, type ChildOptions } from './child.ts';
import { until } from './wait.ts';

function namespaceOf(pid: number | 'self'): string {
  return readlinkSync(`/proc/${pid}/ns/net`);
}

/** Runs commands for setup; throws what they complain of. */
function run(command: string, ...args: string[]): void {
  const { status, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

export class Host {
  /** Keeps the namespace alive while no other process is in it. */
  private readonly holder = new Child('unshare', ['--net', 'sleep', 'infinity']);

  /** With its loopback up. */
  async start(): Promise<this> {
    const { holder } = this;
    await until(() => namespaceOf(holder.pid) !== namespaceOf('self'), 'the namespace');
    this.set('ip', 'link', 'set', 'lo', 'up');
    return this;
  }

  private inside(command: readonly string[]): string[] {
    return ['--target', String(this.holder.pid), '--net', ...command];
  }

  /** Runs a command on this host to its end, for setup. */
  set(...command: string[]): void {
    run('nsenter', ...this.inside(command));
  }

  /** Starts a program on this host; signals reach the program itself. */
  spawn(command: readonly string[], options: ChildOptions = {}): Child {
    return new Child('nsenter', this.inside(command), options);
  }

  /** Connects `host` to this one, on which there is a bridge. */
  plug(host: Host, address: string, name: string): void {
    const peer = ['type', 'veth', 'peer', 'name', 'eth0', 'netns', String(host.holder.pid)];
    this.set('ip', 'link', 'add', name, ...peer);
    this.set('ip', 'link', 'set', name, 'master', 'bridge', 'up');
    host.set('ip', 'address', 'add', `${address}/24`, 'dev', 'eth0');
    host.set('ip', 'link', 'set', 'eth0', 'up');
  }
}

/** A host for each address, all on one bridge in a namespace of its own. */
export async function startHosts(addresses: readonly string[]): Promise<Host[]> {
  const bridge = await new Host().start();
  bridge.set('ip', 'link', 'add', 'bridge', 'type', 'bridge');
  bridge.set('ip', 'link', 'set', 'bridge', 'up');
  const hosts: Host[] = [];
  for (const [i, address] of addresses.entries()) {
    const host = await new Host().start();
    bridge.plug(host, address, `port${i}`);
    hosts.push(host);
  }
  return hosts;
}
