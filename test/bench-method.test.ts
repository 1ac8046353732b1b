/**
 * Goal: what bench and compare say of their own method holds: a server's CPU time includes the processes that it forks, the
 * generator and the servers run where --pin puts them, a server is measured once it serves, warm-ups end when a figure has
 * settled, the generator warms itself up elsewhere than on the server, and is checked against another client.
 * Method: the programs of bench/ against real servers; CPU times are compared with what the server itself counted, never
 * with a speed.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { describe, expect, it } from 'vitest';
import { Cgroup } from '../bench/cgroup.ts';
import { ChildProcess } from '../bench/child-process.ts';
import { chooseExperiments } from '../bench/compare/experiments.ts';
import { checkedLoad, methodNotes } from '../bench/compare/method.ts';
import type { Run } from '../bench/compare/types.ts';
import { loadOptions } from '../bench/load/load-options.ts';
import { ProcessCost } from '../bench/load/process-cost.ts';
import { run } from '../bench/load/run-load.ts';
import type { LoadResult } from '../bench/load/schema.ts';
import { Settling } from '../bench/load/settling.ts';
import { startEcho, startLoad } from '../bench/load/start.ts';
import { pinning } from '../bench/pinning.ts';
import { serves } from '../bench/probe.ts';
import { type CheckedLoad, selfCheck, selfCheckText } from '../bench/self-check.ts';
import { type LogEntry, ServerUnderTest } from '../bench/server-under-test.ts';
import { affinityOf, cpusOf } from '../src/sys/affinity.ts';
import { BIN, Child } from './support/child.ts';
import { Client } from './support/client.ts';
import { generate, measured } from './support/load-bench.ts';
import { deadPort, echo, serverThat } from './support/load-servers.ts';
import { descriptors } from './support/process.ts';
import { FULL } from './support/size.ts';
import { pause, until } from './support/wait.ts';

const ECHO = new URL('../bench/load/echo.ts', import.meta.url).pathname;
const FORKING = new URL('support/forking-server.py', import.meta.url).pathname;
const canFork = spawnSync('python3', ['--version']).status === 0;
const cpus = cpusOf(affinityOf(0) ?? new Uint8Array());

/** What the generator counted as the CPU time of a forking server, and what that itself did. */
async function forkingCpu(cgroup: Cgroup | null): Promise<{ run: LoadResult; trueMs: number }> {
  const command = { command: 'python3', args: [FORKING, '0.005'] };
  await using server = await ServerUnderTest.start('forking', command, { cgroup });
  const entry = Promise.withResolvers<LogEntry>();
  server.onEntry = entry.resolve;
  const flags = { mode: 'churn', port: server.port, clients: 2, requests: 20, 'timeout-ms': 20_000 };
  const watched = { 'watch-pid': server.process.pid, 'watch-cgroup': cgroup?.folder ?? '' };
  const run = await startLoad({
    ...flags,
    ...watched,
    'warmup-ms': 0,
    'duration-ms': 60_000,
  }).result<LoadResult>();
  server.process.signal('SIGTERM');
  const { cpuMs } = await server.process.unlessItEnds(entry.promise, 'counted', 60_000);
  return { run, trueMs: Number(cpuMs) };
}

function expectWithin10Percent({ run, trueMs }: { run: LoadResult; trueMs: number }): void {
  expect([run.completed, run.errorTotal]).toEqual([40, 0]);
  expect(trueMs).toBeGreaterThan(40 * 5);
  expect((run.serverCpuMs ?? 0) / trueMs).toBeGreaterThan(0.9);
  expect((run.serverCpuMs ?? 0) / trueMs).toBeLessThan(1.1);
}

describe.runIf(canFork)('the CPU time of a server that forks for each connection', () => {
  it('is within 10 % of its true one by its control group, which is removed', async (context) => {
    const cgroup = Cgroup.create();
    if (cgroup === null) return context.skip('no control group can be made here');
    await using _ = cgroup;
    const found = await forkingCpu(cgroup);
    expect(found.run.serverCpuFrom).toBe('cgroup');
    expectWithin10Percent(found);
    await cgroup[Symbol.asyncDispose]();
    expect(existsSync(cgroup.folder)).toBe(false);
  });

  it('is within 10 % of its true one by the children that it waited for', async () => {
    const found = await forkingCpu(null);
    expect(found.run.serverCpuFrom).toBe('processes');
    expectWithin10Percent(found);
  });
});

describe('--pin', () => {
  it('gives the generator the last processor and the servers the others', () => {
    expect(pinning([0, 2, 5])).toEqual({ generator: [5], server: [0, 2] });
    expect(() => pinning([3])).toThrow(
      '--pin: this process may use 1 processor: only with two or more (taskset, cpuset)',
    );
  });

  it('starts a child on its processors and stays on its own', async () => {
    const [first = 0] = cpus;
    const lines: string[] = [];
    const args = ['Cpus_allowed_list', '/proc/self/status'];
    await new ChildProcess('grep', 'grep', args, (line) => lines.push(line), { cpus: [first] }).finished();
    expect(lines).toEqual([`Cpus_allowed_list:\t${first}`]);
    expect(cpusOf(affinityOf(0) ?? new Uint8Array())).toEqual(cpus);
  });

  it.runIf(cpus.length >= 2)('names the processor of the generator in the result', async () => {
    const port = String(await serverThat(echo));
    const { run } = await measured('--mode', 'burst', '--clients', '1', '--pin', port);
    expect(run.generatorCpus).toEqual(cpus.slice(-1));
  });

  it.each([
    ['bench', 'name.invalid:7', '--remote'], // before the name is resolved
    ['compare'],
  ])('is refused by %s with one processor', async (...args) => {
    const [first = 0] = cpus;
    const child = new Child('taskset', ['-c', String(first), process.execPath, BIN, ...args, '--pin']);
    expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
    expect(child.stderr.trim().split('\n')).toHaveLength(1);
    expect(child.stderr).toContain('--pin: this process may use 1 processor: only with two or more');
  });
});

it('a server that has accepted a connection serves only once it sends something back, or ends it', async () => {
  const held = Promise.withResolvers<Socket>();
  const starting = await serverThat((socket) => socket.once('data', () => held.resolve(socket)));
  let found: boolean | null = null;
  const probed = serves(starting, '127.0.0.1', 60_000).then((isServing) => {
    found = isServing;
  });
  const socket = await held.promise;
  expect(found).toBeNull();
  socket.write('\n');
  await probed;
  expect(found).toBe(true);
  expect(await serves(await serverThat((refused) => refused.end()), '127.0.0.1', 60_000)).toBe(true);
  expect(await serves(await serverThat(() => {}), '127.0.0.1', 50)).toBe(false);
  expect(await serves(await deadPort(), '127.0.0.1', 60_000)).toBe(false);
});

it("the generator's own echo waits without spinning while it has no free descriptor", async () => {
  const limit = 64;
  const [file, ...args] = ['/bin/sh', '-c', `ulimit -n ${limit}; exec "$@"`, 'sh', process.execPath, ECHO];
  await using server = await ServerUnderTest.start('own echo', { command: file ?? '', args });
  const { pid } = server.process;
  const clients = Array.from({ length: limit }, () => new Client(server.port, { first: Buffer.from('x') }));
  const answered = () => clients.filter(({ available }) => available > 0);
  await until(() => descriptors(pid) >= limit, 'all descriptors to be in use');
  // One that spins is running or runnable, however little of the processor it gets.
  const isAsleep = () => /\) S /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  await until(async () => {
    for (let i = 0; i < 5; i++, await pause(20)) if (!isAsleep()) return false;
    return true;
  }, 'it to sleep');
  expect(answered().length).toBeLessThan(limit);
  for (const client of answered()) client.socket.destroy();
  await until(() => answered().length === limit, 'all clients to be answered');
  for (const client of clients) client.socket.destroy();
});

describe('settling', () => {
  /** The number of values until it has settled; null: it has not. */
  function settledAfter(...values: readonly number[]): number | null {
    const settling = new Settling();
    const at = values.findIndex((value) => settling.add(value));
    return at < 0 ? null : at + 1;
  }

  it.each([
    [[10, 10, 10], 3],
    [[20, 15, 12, 11, 10.9, 10.8], 6],
    [[10, 30, 9.9], 3], // one that is too high delays nothing
    [[20, 5, 10, 10], 4], // one that is too low makes it wait for others
    [[20, 10, 20, 9, 20, 8], null],
    [[10, 9.4, 8.9, 8.4], null],
  ])('of %j is after %j values', (values, count) => {
    expect(settledAfter(...values)).toBe(count);
  });
});

describe('a run', () => {
  /** The epoll instances of this process. */
  function epolls(): number {
    const links = readdirSync('/proc/self/fd').map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ''; // the descriptor of the folder
      }
    });
    return links.filter((link) => link === 'anon_inode:[eventpoll]').length;
  }

  it('leaves no descriptor behind, as warm-ups are runs of the same process', async () => {
    const options = loadOptions([
      '--port',
      String(await deadPort()),
      '--warmup-ms',
      '0',
      '--duration-ms',
      '1',
    ]);
    const before = epolls();
    expect(run(options).errors.refused).toBe(1);
    expect(epolls()).toBe(before);
  });

  it('knows no CPU time of a server without a load on it', () => {
    for (const pids of [[], [process.pid]]) expect(new ProcessCost(pids, '').figures(0)).toEqual({});
    const cost = new ProcessCost([process.pid], '');
    cost.begin();
    cost.end();
    expect(cost.figures(0).serverCpuMs).toBeGreaterThanOrEqual(0);
  });
});

describe('warm-ups', () => {
  it('run the generator against its own echo and leave nothing in the result', async () => {
    let warm = 0;
    const echoPort = await serverThat((socket) => {
      echo(socket);
      socket.on('data', () => warm++);
    });
    const port = await serverThat(echo);
    const args = ['--mode', 'burst', '--clients', '2', '--requests', '3', '--duration-ms', '0'];
    const { run } = await generate('--port', String(port), '--echo-port', String(echoPort), ...args);
    expect(warm).toBeGreaterThan(6);
    expect([run.completed, run.opened, run.errorTotal]).toEqual([6, 2, 0]);
  });

  it('say how long the figure of a watched server took to settle', async () => {
    const port = String(await serverThat(echo));
    const args = [
      '--port',
      port,
      '--warmup-ms',
      '50',
      '--duration-ms',
      '50',
      '--watch-pid',
      String(process.pid),
    ];
    const { run } = await generate(...args, '--settle-ms', '1500');
    expect(run.settledAfterMs === null || (run.settledAfterMs ?? 0) > 0).toBe(true);
    expect((await generate(...args)).run.settledAfterMs).toBeUndefined();
  });
});

it('the report says how long warm-ups took, also where none was long enough', () => {
  const notes = (...settled: (number | null)[]) =>
    methodNotes(
      settled.map((settledAfterMs) => ({ load: { settledAfterMs } }) as Run),
      null,
    ).join();
  expect(notes(400, 1200)).toContain('extended by 0.4 s to 1.2 s until the CPU per request had settled');
  expect(notes(400, null)).toContain('; in 1 of 2 runs it had not at the bound');
  expect(notes(null, null)).toContain('had not settled in any run when its warm-up ended');
});

describe('the self-check', () => {
  const LOAD: CheckedLoad = {
    mode: 'closed',
    clients: 2,
    messageBytes: 64,
    rate: null,
    arrivals: 'even',
    shape: 'even',
    requests: 1,
  };

  it('compares the generator with what was measured where the C client does not know the load', async () => {
    await using own = await startEcho();
    const check = await selfCheck({ ...LOAD, mode: 'churn' }, 50, own);
    expect(check).toMatchObject({ against: 'measured', otherMs: 50 });
    expect(check?.ratio).toBe((check?.generatorMs ?? 0) / 50);
    expect(selfCheckText(check)).toContain('of the 50.000 ms measured');
  });

  it.runIf(spawnSync('cc', ['--version']).status === 0)(
    'compares it with the C client in a mode that it knows',
    async () => {
      await using own = await startEcho();
      const more: CheckedLoad[] = [
        { ...LOAD, mode: 'open', rate: 500 },
        { ...LOAD, mode: 'burst' },
      ];
      for (const load of FULL ? [LOAD, ...more] : [LOAD]) {
        const check = await selfCheck(load, 50, own);
        expect(check?.against, load.mode).toBe('C client');
        expect(check?.ratio, load.mode).toBeGreaterThan(0);
      }
    },
  );

  it('has the load of the point: its rate, and when requests are due', () => {
    const [experiment] = chooseExperiments(['load-latency'], { quick: false, idleMax: 100 });
    if (experiment === undefined) throw new Error('there is such an experiment');
    const loads = experiment.points.map((point) => checkedLoad(experiment, point, 64));
    expect(loads.map(({ rate }) => String(rate))).toEqual(experiment.points.map(({ key }) => key));
    for (const { mode, arrivals } of loads) expect([mode, arrivals]).toEqual(['open', 'poisson']);
  });

  it('says when it failed', () => {
    expect(selfCheckText(null)).toBe('self-check of the generator: failed');
  });
});
