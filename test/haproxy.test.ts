/**
 * Goal: several servers behind HAProxy, as deploy/haproxy configures it, are one echo server: every byte right, the load
 * even, a dead server loses only its own connections, and a restart of all of them loses none.
 * Method: five hosts in network namespaces with the addresses of the configuration, which is used as it is. The load
 * generator checks every byte. HAProxy's own counters tell where connections went and when it noticed.
 */
import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import type { LoadResult } from '../bench/load/schema.ts';
import { BIN, type Child, whenListening } from './support/child.ts';
import { HAPROXY_CONFIGURATION, Haproxy } from './support/haproxy.ts';
import { noNamespace } from './support/namespace.ts';
import { type Host, startHosts } from './support/network.ts';
import { hasCommand } from './support/process.ts';
import { STRATEGIES, type StrategyName } from './support/server.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const noHaproxy = hasCommand('haproxy') ? null : 'haproxy is not installed';
const noHosts = noHaproxy ?? noNamespace ?? (FULL ? null : 'only in npm run test:full');

/** As in haproxy.cfg. */
const SERVERS = new Map([
  ['a', '10.0.0.11'],
  ['b', '10.0.0.12'],
  ['c', '10.0.0.13'],
]);
const BALANCER = '10.0.0.2';
const CLIENT = '10.0.0.3';
const STANDING = 30;

/** Under workqueue a thread for each connection and one for the check. */
const OPTIONS: Record<StrategyName, string[]> = {
  kthread: [],
  workqueue: ['--workers', String(STANDING + 2)],
  cmwq: [],
};

interface Site {
  haproxy: Haproxy;
  start(name: string): Promise<Child>;
  load(...flags: string[]): RunningLoad;
}

class RunningLoad {
  private readonly child: Child;

  constructor(host: Host, flags: readonly string[]) {
    const script = new URL('support/load-from-host.ts', import.meta.url).pathname;
    const target = [
      BALANCER,
      '--port',
      '12345',
      '--warmup-ms',
      '0',
      '--duration-ms',
      '600000',
      '--stdin-stops',
    ];
    this.child = host.spawn([process.execPath, script, ...target, ...flags]);
  }

  /** The results of its runs; the last one was ended by this. */
  async stop(): Promise<LoadResult[]> {
    this.child.write('stop');
    expect(await this.child.untilEnded(), this.child.stderr).toEqual({ code: 0, signal: null });
    return this.child.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as LoadResult);
  }
}

/** Hosts with running servers behind a balancer that has found all of them up. */
async function makeSite(
  strategy: StrategyName,
  drainDelay = '5s',
): Promise<{ site: Site; children: Map<string, Child> }> {
  const [balancer, client, ...hosts] = (await startHosts([BALANCER, CLIENT, ...SERVERS.values()])) as [
    Host,
    Host,
    ...Host[], // as many as addresses
  ];
  // Both close their connections first: a port may be used again after a second.
  for (const host of [balancer, client]) host.set('sysctl', '-qw', 'net.ipv4.tcp_tw_reuse=1');
  const hostOf = new Map([...SERVERS.keys()].map((name, i) => [name, hosts[i] as Host]));
  const start = async (name: string) => {
    const address = SERVERS.get(name) ?? '';
    const args = [
      '--strategy',
      strategy,
      ...OPTIONS[strategy],
      '--host',
      address,
      '--admin',
      `${address}:9090`,
    ];
    const command = [process.execPath, BIN, ...args, '--no-pretty', '--drain-delay', drainDelay];
    return (await whenListening(hostOf.get(name)?.spawn(command) as Child)).child; // a host of the map
  };
  const children = new Map<string, Child>();
  for (const name of SERVERS.keys()) children.set(name, await start(name));
  const haproxy = new Haproxy(balancer);
  for (const name of SERVERS.keys()) await haproxy.untilUp(name);
  return { site: { haproxy, start, load: (...flags) => new RunningLoad(client, flags) }, children };
}

/** Resolves with the open connections of each server once there are STANDING in total. */
async function untilAllOpen(haproxy: Haproxy): Promise<Map<string, number>> {
  let open = new Map<string, number>();
  await until(async () => {
    open = new Map([...(await haproxy.servers())].map(([name, server]) => [name, server.open]));
    return [...open.values()].reduce((sum, count) => sum + count, 0) === STANDING;
  }, `${STANDING} open connections`);
  return open;
}

it.skipIf(noHaproxy !== null)(`haproxy -c accepts the configuration (${noHaproxy ?? 'installed'})`, () => {
  const { status, stdout, stderr } = spawnSync('haproxy', ['-c', '-f', HAPROXY_CONFIGURATION], {
    encoding: 'utf8',
  });
  expect({ status, stdout, stderr }).toEqual({
    status: 0,
    stdout: 'Configuration file is valid\n',
    stderr: '',
  });
});

describe.skipIf(noHosts !== null)(`three servers behind HAProxy (${noHosts ?? 'on five hosts'})`, () => {
  it.each(STRATEGIES)(
    'share the load evenly, and lose only the connections of one that is killed, under %s',
    { timeout: 180_000 },
    async (strategy) => {
      const { site, children } = await makeSite(strategy);
      const { haproxy } = site;
      const load = site.load('--mode', 'closed', '--clients', String(STANDING));
      const open = await untilAllOpen(haproxy);
      const even = STANDING / SERVERS.size;
      for (const count of open.values()) expect(Math.abs(count - even)).toBeLessThanOrEqual(even / 10);
      children.get('b')?.signal('SIGKILL');
      await haproxy.untilUp('b', false);
      expect(haproxy.child.stdout).toContain('Server echo/b is DOWN, reason: Layer4 connection problem');
      const down = (await haproxy.servers()).get('b');
      const churn = site.load('--mode', 'churn', '--clients', '4', '--max-connections', '100');
      await until(
        async () => ((await haproxy.servers()).get('a')?.total ?? 0) > 60,
        'connections with the others',
      );
      expect((await haproxy.servers()).get('b')?.total).toBe(down?.total); // none is sent there
      for (const { errorTotal, errorDetails } of await churn.stop())
        expect(errorTotal, errorDetails.join()).toBe(0);
      const [result] = await load.stop();
      expect(result?.errors).toMatchObject({ refused: 0, timeout: 0, wrongBytes: 0, other: 0 });
      expect(result?.errorTotal).toBe(open.get('b'));
      expect(result?.completed).toBeGreaterThan(0);
    },
  );

  it.each(STRATEGIES)(
    'lose and refuse nothing when all restart in turn, under %s',
    { timeout: 240_000 },
    async (strategy) => {
      const { site, children } = await makeSite(strategy);
      const { haproxy } = site;
      const churn = site.load('--mode', 'churn', '--clients', '6', '--max-connections', '4000');
      for (const [name, child] of children) {
        const { total = 0 } = (await haproxy.servers()).get(name) ?? {};
        await until(
          async () => ((await haproxy.servers()).get(name)?.total ?? 0) > total + 50,
          `load on ${name}`,
        );
        child.signal('SIGTERM');
        await haproxy.untilUp(name, false);
        expect(await child.untilEnded(), child.stderr).toEqual({ code: 0, signal: null });
        expect(await child.line('stopped')).toMatchObject({ cut: 0 });
        await site.start(name);
        await haproxy.untilUp(name);
      }
      const results = await churn.stop();
      for (const { errorTotal, errorDetails } of results) expect(errorTotal, errorDetails.join()).toBe(0);
      expect(results.reduce((sum, { completed }) => sum + completed, 0)).toBeGreaterThan(300);
    },
  );

  it('get no connection during the drain delay, and none has to be tried twice', {
    timeout: 180_000,
  }, async () => {
    const { site, children } = await makeSite('cmwq', '60m');
    const { haproxy } = site;
    const churn = site.load('--mode', 'churn', '--clients', '6', '--max-connections', '4000');
    const totalOf = async (name: string) => (await haproxy.servers()).get(name)?.total ?? 0;
    await until(async () => (await totalOf('b')) > 50, 'load on b');
    children.get('b')?.signal('SIGTERM');
    await haproxy.untilUp('b', false);
    const [before, total] = [await totalOf('b'), await totalOf('a')];
    await until(async () => (await totalOf('a')) > total + 50, 'connections with the others');
    expect(await totalOf('b')).toBe(before);
    for (const { errorTotal, errorDetails } of await churn.stop())
      expect(errorTotal, errorDetails.join()).toBe(0);
    for (const { retries } of (await haproxy.servers()).values()) expect(retries).toBe(0);
  });
});
