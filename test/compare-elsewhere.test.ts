/**
 * Goal: compare measures servers on another host, and ones that run already; it knows their figures or leaves them out,
 * names both machines, and leaves no process behind there, however it ends.
 * Method: a program in place of ssh that runs the command on this machine; at full size a real sshd on a host of its own,
 * in a network namespace.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { installedHere, portable, SILENCE_MAX_MS } from '../bench/compare/host-protocol.ts';
import { RemoteHost } from '../bench/compare/remote-host.ts';
import { Results } from '../bench/compare/types.ts';
import { processTree } from '../bench/process-figures.ts';
import { kechoPool } from '../bench/programs.ts';
import { BIN, Child, runBin, startBin } from './support/child.ts';
import { temporaryFolder } from './support/folder.ts';
import { expectForm } from './support/form.ts';
import { noNamespace } from './support/namespace.ts';
import { type Host, startHosts } from './support/network.ts';
import { FULL } from './support/size.ts';
import { fakeSsh, noSshd, startSshd } from './support/ssh.ts';
import { until } from './support/wait.ts';

const LONG = { timeout: 180_000 };
const KECHO_POOL = `${process.execPath} ${BIN}`;
const ONE_SERVER = ['--strategies', 'cmwq', '--no-control', '--repeat', '1', '--clients', '1'];

function resultsIn(out: string): Results {
  const results = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as Results;
  expectForm(Results, results);
  return results;
}

/** Empty for a process that is gone, or whose parent has not waited for it yet. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

/** The agent and its server among the descendants of a process. */
function hostedBy(pid: number): number[] {
  const isHosted = (own: number) => {
    const words = commandLine(own).split('\0');
    return words.includes('compare-host') || (words.includes('--host') && words.includes('cmwq'));
  };
  return processTree(pid).filter(isHosted);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It is gone.
  }
}

/** Waits for the agent and a server of it. */
async function untilHosted(pid: number, compare: Child): Promise<number[]> {
  let found: number[] = [];
  const isServer = (own: number) => commandLine(own).includes('--strategy');
  await until(
    () => {
      found = hostedBy(pid);
      return found.some(isServer) || compare.ended !== null;
    },
    'a server on the other host',
    60_000,
  );
  expect(compare.ended, compare.stderr).toBeNull();
  return found;
}

describe('a command for another host', () => {
  it('names Node and the files of this package, whose folders differ there', () => {
    const command = kechoPool(['--handler', join(import.meta.dirname, 'handlers/copy.ts')]);
    const sent = JSON.stringify(portable(command));
    expect(sent).toContain('"command":"{node}"');
    expect(sent).toContain('"{package}/test/handlers/copy.ts"');
    expect(sent).not.toContain(join(import.meta.dirname, '..'));
    expect(installedHere(JSON.parse(sent))).toEqual(command);
  });
});

describe('with a program in place of ssh', () => {
  it(
    'measures servers there and one that runs already, on ::1, of which it leaves out what is unknown',
    LONG,
    async () => {
      const out = temporaryFolder();
      const { port } = await startBin(['--host', '::1']);
      const args = [
        '--on',
        'ssh:-p 2222 me@fast',
        '--on-command',
        KECHO_POOL,
        '--target',
        `own=[::1]:${port}`,
      ];
      const load = ['--experiment', 'throughput', '--duration', '300ms', '--warmup', '50ms'];
      load.push('--timeout', '20s'); // the default is short on a busy machine
      const child = new Child(
        process.execPath,
        [BIN, 'compare', ...args, ...load, ...ONE_SERVER, '--out', out],
        { env: { PATH: fakeSsh() } },
      );
      expect(await child.untilEnded(LONG.timeout), child.stderr).toEqual({ code: 0, signal: null });
      expect(child.stdout).toMatch(
        /^the servers ran on me@fast \(127\.0\.0\.2\), .*: round trip \S+ ms, part of each/,
      );
      const { runs, serverHost, contestants } = resultsIn(out);
      expect(serverHost).toMatchObject({
        name: 'me@fast',
        address: '127.0.0.2',
        environment: { node: process.version },
      });
      expect(serverHost?.roundTripMs).toBeGreaterThan(0);
      expect(contestants.map(({ command }) => command)).toEqual([
        expect.stringMatching(/ --strategy cmwq --host 127\.0\.0\.2$/),
        `'[::1]:${port}'`,
      ]);
      expect(runs.map(({ errorTotal, failure }) => failure ?? errorTotal)).toEqual([0, 0]);
      for (const { label, metrics } of runs) {
        expect(metrics.averageMs).toBeGreaterThan(0);
        expect(metrics.cpuPerRequestUs === undefined, label).toBe(label === 'own');
        expect(metrics.cpuPerRequestUs).not.toBe(0);
        expect(metrics.threadsMax === undefined, label).toBe(label === 'own');
      }
      const report = readFileSync(join(out, 'report.html'), 'utf8');
      expect(report).toContain('me@fast (127.0.0.2)');
    },
  );

  it('the agent ends with its standard input, and a server with it that does not listen yet', async () => {
    const agent = runBin(['compare-host'], { env: { SSH_CONNECTION: '127.0.0.1 1 127.0.0.2 22' } });
    await until(() => agent.lines.length === 1, 'the greeting');
    agent.write('{"id":0,"ask":"start","label":"silent","command":{"command":"sleep","args":["1000"]}}\n');
    const started = () => processTree(agent.pid).slice(1);
    await until(() => started().some((pid) => commandLine(pid).startsWith('sleep')), 'the server');
    const servers = started();
    agent.process.stdin?.end();
    expect(await agent.untilEnded()).toEqual({ code: 0, signal: null });
    await until(() => servers.every((pid) => commandLine(pid) === ''), 'the end of the server');
  });

  it.each([
    ['a host without kecho-pool', 'no-such-program', /^ssh fast: exit code 127: .*no-such-program/],
    [
      'another version',
      `of() { ${KECHO_POOL} "$@" | sed -u 's/"kecho-pool [0-9.]*"/"kecho-pool 9.9.9"/'; }; of`,
      /^fast has kecho-pool 9\.9\.9, and this is kecho-pool \d+\.\d+\.\d+$/,
    ],
    [
      'a version with another greeting',
      'echo \'{"program":"x"}\'; cat #',
      /^ssh fast: an unknown greeting \(address: /,
    ],
    [
      'an agent that was not reached through ssh',
      `SSH_CONNECTION= ${KECHO_POOL}`,
      /^ssh fast: exit code 1: .*SSH_CONNECTION names no address/,
    ],
  ])('says in one line what is wrong with %s', async (_, onCommand, message) => {
    vi.stubEnv('PATH', fakeSsh());
    onTestFinished(() => void vi.unstubAllEnvs());
    const opened = RemoteHost.open({ name: 'fast', words: ['fast'], command: onCommand });
    await expect(opened).rejects.toThrow(message);
    await opened.catch(({ message: line }: Error) => expect(line).not.toContain('\n'));
  });
});

const noHosts = noSshd ?? noNamespace ?? (FULL ? null : 'only in npm run test:full');

describe.skipIf(noHosts !== null)(`with sshd on another host (${noHosts ?? 'in a namespace'})`, () => {
  const CLIENT = '10.78.0.1';
  const SERVER = '10.78.0.2';

  async function site() {
    const [client, server] = (await startHosts([CLIENT, SERVER])) as [Host, Host]; // as many as addresses
    const sshd = await startSshd(server, SERVER);
    const compare = (config: string, ...args: string[]) =>
      client.spawn([
        process.execPath,
        BIN,
        'compare',
        '--on',
        `ssh:-F ${config} server`,
        '--on-command',
        KECHO_POOL,
        ...args,
      ]);
    return { client, sshd, compare };
  }

  it('runs the strategies there, and knows their CPU time, memory and threads', LONG, async () => {
    const out = temporaryFolder();
    const { sshd, compare } = await site();
    const load = [
      '--experiment',
      'response,churn,idle,slow-readers',
      '--duration',
      '500ms',
      '--clients',
      '4',
    ];
    const child = compare(sshd.config, ...load, '--repeat', '1', '--no-control', '--out', out);
    expect(await child.untilEnded(LONG.timeout), child.stderr).toEqual({ code: 0, signal: null });
    const { runs, serverHost, timelines, notes } = resultsIn(out);
    expect(serverHost).toMatchObject({ name: 'server', address: SERVER });
    expect(timelines).toEqual([]);
    expect(notes[0]).toContain(`the servers ran on server (${SERVER}), the load on this machine`);
    const cmwq = runs.filter(({ label }) => label === 'cmwq');
    expect(new Set(cmwq.map(({ failure }) => failure))).toEqual(new Set([null]));
    for (const { metrics, load: found, experiment } of cmwq) {
      expect(found?.errors.wrongBytes).toBe(0);
      expect(metrics.threadsMax, experiment).toBeGreaterThan(1);
      expect(metrics.cpuPerRequestUs, experiment).toBeGreaterThan(0);
    }
    const [idle] = cmwq.filter(({ experiment }) => experiment === 'idle');
    expect(idle?.metrics.memoryPerConnectionKib).toBeDefined();
    await until(() => hostedBy(sshd.child.pid).length === 0, 'the end of the agent');
  });

  it(
    'starts an old build and another server there, too, and knows the same figures of them',
    LONG,
    async () => {
      const out = temporaryFolder();
      const { sshd, compare } = await site();
      const others = [
        '--target',
        `own=${KECHO_POOL} --host ${SERVER} --port {port}`,
        '--baseline-command',
        KECHO_POOL,
      ];
      const load = ['--experiment', 'response', '--timeout', '60s', ...ONE_SERVER];
      const child = compare(sshd.config, ...others, ...load, '--out', out);
      expect(await child.untilEnded(LONG.timeout), child.stderr).toEqual({ code: 0, signal: null });
      const { runs, contestants } = resultsIn(out);
      const kinds = new Map(contestants.map(({ label, kind }) => [label, kind]));
      expect([...kinds.values()]).toEqual(['strategy', 'before', 'target']);
      for (const { label, failure, load: found, metrics } of runs) {
        expect(failure, label).toBeNull();
        expect(found?.errors.wrongBytes, label).toBe(0);
        expect(metrics.cpuPerRequestUs, label).toBeGreaterThan(0);
        expect(metrics.threadsMax, label).toBeGreaterThan(1);
        kinds.delete(label);
      }
      expect(kinds.size).toBe(0);
      await until(() => hostedBy(sshd.child.pid).length === 0, 'the end of the agent', 30_000);
    },
  );

  it('ends them when compare is killed, and when the network is cut', LONG, async () => {
    const { client, sshd, compare } = await site();
    const load = [
      '--experiment',
      'throughput',
      '--duration',
      '60s',
      ...ONE_SERVER,
      '--out',
      temporaryFolder(),
    ];
    const child = compare(sshd.config, ...load);
    const hosted = await untilHosted(sshd.child.pid, child);
    child.signal('SIGKILL');
    const areGone = (pids: readonly number[]) => pids.every((pid) => commandLine(pid) === '');
    await until(() => areGone(hosted), 'the end of the agent and its server');

    const other = compare(sshd.config, ...load);
    // Without a network, both ends of the connection would wait for each other until TCP gives up.
    onTestFinished(() => {
      for (const pid of [...processTree(other.pid), ...processTree(sshd.child.pid)]) kill(pid);
    });
    const cut = await untilHosted(sshd.child.pid, other);
    client.set('ip', 'link', 'set', 'eth0', 'down');
    await until(() => areGone(cut), 'the end of the agent and its server', 2 * SILENCE_MAX_MS);
  });

  it('refuses a host whose key is unknown, although its configuration would accept it', LONG, async () => {
    const { sshd, compare } = await site();
    const child = compare(sshd.unknown, '--plan');
    expect(await child.untilEnded(60_000)).toEqual({ code: 1, signal: null });
    expect(child.stderr).toMatch(
      /^kecho-pool compare: ssh server: exit code 255: .*Host key verification failed\.\n$/,
    );
  });
});
