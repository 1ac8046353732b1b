/**
 * Goal: the experiments with something beside the load, with a rate, or with a burst before it run as their captions say.
 * Method: the plans without processes; the programs beside the load against servers in this process; under TEST_FULL each
 * experiment once with real servers. No assertions about speed.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { startCompany } from '../bench/compare/company.ts';
import { expectedMs } from '../bench/compare/estimate.ts';
import type { ExperimentName } from '../bench/compare/experiments/kind.ts';
import { chooseExperiments } from '../bench/compare/experiments.ts';
import { COMPUTES } from '../bench/compare/first-byte.ts';
import handle from '../bench/compare/first-byte-handler.ts';
import { type Entrant, planRuns } from '../bench/compare/plan.ts';
import type { Results } from '../bench/compare/types.ts';
import { processCpuMs } from '../bench/load/process-cost.ts';
import { processorsChart } from '../bench/report/processors-chart.ts';
import { processorsAtWork } from '../bench/sim/table.ts';
import { affinityOf, cpusOf } from '../src/sys/affinity.ts';
import { LOOPBACK } from '../src/sys/loopback.ts';
import { BIN, Child } from './support/child.ts';
import { childrenOf } from './support/load-bench.ts';
import { echo, serverThat } from './support/load-servers.ts';
import { startServer } from './support/server.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const NEW = ['load-latency', 'mixed', 'cold-warm', 'background', 'slow-readers', 'cost'] as const;

const ENTRANTS: Entrant[] = [
  { label: 'kthread', kind: 'strategy', strategy: 'kthread' },
  { label: 'workqueue', kind: 'strategy', strategy: 'workqueue' },
  { label: 'cmwq', kind: 'strategy', strategy: 'cmwq' },
  { label: 'cmwq (again)', kind: 'control', strategy: 'cmwq' },
  { label: 'other', kind: 'target', strategy: null },
];

function chosen(names: readonly ExperimentName[] | null, more = {}) {
  return chooseExperiments(names, { quick: false, idleMax: 100, ...more });
}

describe('plans', () => {
  it('say in their first sentence what an experiment shows, and have a picture of its first metric', () => {
    for (const { question, charts, ranked } of chosen(NEW)) {
      expect(question).toMatch(/^Shows /);
      expect(charts[0]).toBe(ranked[0]);
    }
  });

  it('go from a part of what the processors can do to more than that', () => {
    const [experiment] = chosen(['load-latency']);
    const shares = experiment?.points.map(({ rate = 0 }) => rate / (500 * availableParallelism())) ?? [];
    expect(shares.map((share) => Math.round(share * 10) / 10)).toEqual([0.3, 0.6, 0.9, 1.3]);
    expect(experiment?.points.map(({ key }) => Number(key))).toEqual(
      experiment?.points.map(({ rate }) => rate),
    );
    expect(experiment).toMatchObject({
      mode: 'open',
      arrivals: 'poisson',
      withinMs: 50,
      workerPerClient: true,
    });
  });

  it('go by the processors of the servers with --pin', () => {
    const rates = chosen(['load-latency'], { cpus: 1 }).flatMap(({ points }) =>
      points.map(({ rate }) => rate),
    );
    expect(rates).toEqual([150, 300, 450, 650]);
  });

  it('have the same load at each point, and differ in what is beside or before it', () => {
    const of = (name: ExperimentName) => chosen([name]).flatMap(({ points }) => points);
    expect(of('mixed').map(({ company }) => company)).toEqual([
      { kind: 'other', count: 4, firstByte: 50 },
      { kind: 'other', count: 4, firstByte: COMPUTES + 50 },
    ]);
    expect(of('cold-warm').map(({ warmupMs }) => warmupMs)).toEqual([undefined, 500]);
    expect(of('background').map(({ company }) => company)).toEqual([undefined, { kind: 'busy', count: 4 }]);
    expect(of('slow-readers').map(({ company }) => company)).toEqual([undefined, { kind: 'slow', count: 8 }]);
    expect(of('cost').map(({ heldAfter }) => heldAfter)).toEqual([100]);
    for (const name of NEW) expect(new Set(of(name).map(({ clients }) => clients)).size).toBe(1);
  });

  it('keep what is beside the load when the number of clients is given', () => {
    const of = (clients: number[]) => chosen(['background'], { clients }).flatMap(({ points }) => points);
    expect(of([3]).map(({ key, clients, company }) => [key, clients, company?.count])).toEqual([
      ['alone', 3, undefined],
      ['busy', 3, 4],
    ]);
    expect(of([1, 3]).map(({ key, title }) => [key, title])).toEqual([
      ['1-alone', 'alone, 1 client'],
      ['1-busy', '4 busy processes, 1 client'],
      ['3-alone', 'alone, 3 clients'],
      ['3-busy', '4 busy processes, 3 clients'],
    ]);
  });

  it('leave other servers out where only kecho-pool has the handler', () => {
    const labels = (name: ExperimentName) =>
      new Set(planRuns(chosen([name]), ENTRANTS, 1).map(({ contestant }) => contestant.label));
    for (const name of NEW)
      expect(labels(name).has('other'), name).toBe(name === 'slow-readers' || name === 'cost');
  });

  it('with --quick have short requests beside long ones, and take at most 90 seconds on two idle cores', () => {
    const quick = chosen(null, { quick: true });
    expect(quick.map(({ name, points }) => [name, points.map(({ key }) => key)])).toEqual([
      ['response', ['40']],
      ['blocking', ['10']],
      ['mixed', ['sleep']],
    ]);
    const runs = planRuns(quick, ENTRANTS.slice(0, 4), 1);
    expect(runs.reduce((sum, run) => sum + expectedMs(run, undefined), 0)).toBeLessThan(90_000);
  });
});

it('the handler sleeps or computes for as long as the first byte says', () => {
  const cpuMs = () => process.threadCpuUsage().user / 1000 + process.threadCpuUsage().system / 1000;
  const run = (byte: number) => {
    const [beganMs, beganCpuMs] = [performance.now(), cpuMs()];
    handle(Uint8Array.of(byte, 1, 2), { id: 1, requests: 1 });
    return { tookMs: performance.now() - beganMs, cpuMs: cpuMs() - beganCpuMs };
  };
  expect(run(COMPUTES + 30).cpuMs).toBeGreaterThanOrEqual(30);
  const slept = run(60);
  expect(slept.tookMs).toBeGreaterThan(59);
  expect(slept.cpuMs).toBeLessThan(30);
});

function statusOf(pid: number): string {
  return readFileSync(`/proc/${pid}/status`, 'latin1');
}

describe('beside the load', () => {
  const at = (port: number) => ({ address: LOOPBACK, port });

  it.each(['slow', 'other'] as const)('clients run on the processors of the generator: %s', async (kind) => {
    const [cpu = 0] = cpusOf(affinityOf(0) ?? new Uint8Array());
    const before = childrenOf(process.pid);
    const load = { kind, count: 1, firstByte: 1 };
    await using _ = await startCompany(load, at(await serverThat(echo)), { cpus: [cpu] });
    const pids = childrenOf(process.pid).filter((pid) => !before.includes(pid));
    const allowed = pids.map((pid) => /^Cpus_allowed_list:\t(.*)$/m.exec(statusOf(pid))?.[1]);
    expect(allowed).toEqual([String(cpu)]);
  });

  it('busy processes use the processors until they are ended', async () => {
    const before = childrenOf(process.pid);
    const company = await startCompany({ kind: 'busy', count: 2 }, at(0));
    const pids = childrenOf(process.pid).filter((pid) => !before.includes(pid));
    expect(pids).toHaveLength(2);
    for (const pid of pids) await until(() => processCpuMs(pid) > 200, 'CPU time');
    expect(await company.end()).toBe(0);
    expect(childrenOf(process.pid)).toEqual(before);
  });

  it('slow readers keep the server from sending, and check what they read', async () => {
    const { server, port } = await startServer({ strategy: 'kthread' });
    const company = await startCompany({ kind: 'slow', count: 2 }, at(port));
    await until(() => server.stats().bytesIn > server.stats().bytesOut, 'bytes that cannot be sent');
    expect(server.stats().connections.active).toBe(2);
    expect(await company.end()).toBe(0);
    await until(() => server.stats().connections.active === 0, 'their end');
  });

  it('slow readers count wrong bytes', async () => {
    const port = await serverThat((socket) => {
      socket.on('data', (bytes) => socket.write(Buffer.alloc(bytes.length, 'x'))).on('error', () => {});
    });
    let wrong = 0;
    // They read every 100 ms, on a busy machine later.
    for (let waitMs = 200; wrong === 0 && waitMs < 10_000; waitMs *= 2) {
      const company = await startCompany({ kind: 'slow', count: 1 }, at(port));
      await pause(waitMs);
      wrong = await company.end();
    }
    expect(wrong).toBeGreaterThan(0);
  });

  it('other clients send requests that begin with their byte', async () => {
    const first = new Set<number>();
    let requests = 0;
    const port = await serverThat((socket) => {
      socket.once('data', (bytes: Buffer) => {
        first.add(bytes[0] ?? -1);
        requests++;
      });
      echo(socket);
    });
    const company = await startCompany({ kind: 'other', count: 2, firstByte: 77 }, at(port));
    await until(() => requests > 10, 'requests');
    expect(await company.end()).toBe(0);
    expect(first).toEqual(new Set([77]));
  });
});

describe('the simulation of larger machines', () => {
  it('has all processors at work if connections may move, and one if they may not', async () => {
    const rows = await processorsAtWork(1, [8, 16]);
    expect(rows.map(({ cpus }) => cpus)).toEqual([8, 16]);
    for (const { cpus, moving, staying } of rows) {
      expect(moving).toBeGreaterThan(0.9 * cpus);
      expect(moving).toBeLessThanOrEqual(1.01 * cpus);
      expect(staying).toBeGreaterThan(0.9);
      expect(staying).toBeLessThanOrEqual(1.01);
    }
  });

  it('is drawn as computed', () => {
    const rows = [8, 64].map((cpus) => ({ cpus, moving: cpus - 0.5, staying: 1 }));
    const svg = processorsChart(rows);
    for (const text of [
      'computed, not measured',
      '>processors at work<',
      'all requests come to one CPU pool',
    ])
      expect(svg).toContain(text);
    expect(svg).toContain('cmwq, 64 processors: 63.5 processors');
    expect(svg).toContain('cmwq, no moves, 8 processors: 1 processors');
  });
});

it.runIf(FULL)('measures each of them with real servers', { timeout: 600_000 }, async () => {
  const out = mkdtempSync(join(tmpdir(), 'kecho-compare-'));
  onTestFinished(() => rmSync(out, { recursive: true, force: true }));
  const args = ['--experiment', NEW.join(), '--repeat', '1', '--no-control', '--requests', '2'];
  const times = [
    '--strategies',
    'workqueue,cmwq',
    '--timeout',
    '30s',
    '--duration',
    '300ms',
    '--clients',
    '2',
  ];
  const child = new Child(process.execPath, [BIN, 'compare', ...args, ...times, '--out', out]);
  expect((await child.untilEnded(580_000)).code).toBe(0);
  const { runs, experiments } = JSON.parse(readFileSync(join(out, 'results.json'), 'utf8')) as Results;
  expect(experiments.map(({ name }) => name)).toEqual(NEW);
  expect(runs.map(({ failure, load }) => failure ?? `${load?.errorTotal}`)).toEqual(runs.map(() => '0'));
  for (const run of runs.filter(({ load }) => load !== null && load.completed > 0)) {
    const ranked = experiments.find(({ name }) => name === run.experiment)?.ranked ?? [];
    expect(Object.keys(run.metrics), run.experiment).toEqual(expect.arrayContaining(ranked));
  }
  const picture = (name: string, metric: string) => readFileSync(join(out, `${name}-${metric}.svg`), 'utf8');
  for (const { name, charts } of experiments)
    expect(picture(name, charts[0] ?? '')).toContain('class="curve');
});
