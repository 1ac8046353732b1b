/**
 * Goal: the load generator's times match the server's; open mode shows a stall; CPU time and threads are the server's; a
 * generator that gets too little of the processors is saturated.
 * Method: `kecho-pool bench` as a child process against servers in this process that are slow or stall. Times are
 * compared with what the server recorded, never with a speed. No other test runs beside these.
 */
import { constants, setPriority } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { Distribution, LoadResult } from '../bench/load/schema.ts';
import { mainCpus, maskOf, setAffinity } from '../src/sys/affinity.ts';
import { Child } from './support/child.ts';
import { generate, measured, startGenerator } from './support/load-bench.ts';
import { answersAfter, delaying, echo, serverThat, stallingOnce } from './support/load-servers.ts';
import { threads } from './support/process.ts';
import { rank } from './support/rank.ts';
import { pause, until } from './support/wait.ts';

const PERCENTILES: readonly [number, keyof Distribution][] = [
  [50, 'p50Ms'],
  [90, 'p90Ms'],
  [99, 'p99Ms'],
  [99.9, 'p999Ms'],
];

describe('the generator', () => {
  it('reports the CPU time and threads that the watched process itself measures', async () => {
    const port = await serverThat(echo);
    const cpuMs = () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1000;
    };
    const threadsBefore = threads();
    const before = cpuMs();
    const { run } = await generate(
      '--port',
      String(port),
      '--clients',
      '10',
      '--duration-ms',
      '2000', // long compared with starting a process on a slow machine
      '--watch-pid',
      String(process.pid),
    );
    const spentMs = cpuMs() - before; // a little more than the window
    expect(run.serverCpuMs).toBeGreaterThan(0.3 * spentMs);
    expect(run.serverCpuMs).toBeLessThan(spentMs);
    expect(run.serverCpuPerSampleUs).toBeCloseTo(((run.serverCpuMs ?? 0) * 1000) / run.completed, 6);
    expect(run.serverThreadsMax).toBeGreaterThanOrEqual(Math.min(threadsBefore, threads()));
    expect(run.serverThreadsMax).toBeLessThanOrEqual(Math.max(threadsBefore, threads()) + 1);
    expect(run.generatorCpuShare).toBeGreaterThan(0);
    expect(run.generatorCpuShare).toBeLessThanOrEqual(1.01);
  });
});

describe('saturation', () => {
  /** Processes that never sleep, on one processor. */
  function occupy(cpu: number): void {
    for (let i = 0; i < 2; i++) {
      const busy = new Child('taskset', ['-c', String(cpu), process.execPath, '-e', 'for (;;) {}']);
      onTestFinished(() => busy.signal('SIGKILL'));
    }
  }

  it('is noticed when the generator waits for its processor, and uses little of it', async () => {
    const [cpu = 0] = mainCpus();
    occupy(cpu);
    let requests = 0;
    const port = await serverThat((socket) => {
      echo(socket);
      socket.on('data', () => requests++);
    });
    // Of its share, some milliseconds of CPU a second, the answers for 64 connections leave nothing.
    const args = ['--clients', '64', '--warmup-ms', '2000', '--duration-ms', '3000', '--timeout-ms', '20000'];
    const generator = startGenerator('--port', String(port), ...args);
    await until(() => requests > 0, 'the load');
    setPriority(generator.pid, constants.priority.PRIORITY_LOW);
    expect(setAffinity(generator.pid, maskOf(cpu))).toBe(true);
    await until(() => generator.stdout.endsWith('\n'), 'the result', 60_000);
    const run = JSON.parse(generator.stdout) as LoadResult;
    expect(run.generatorCpuShare).toBeLessThan(0.5);
    expect(run.generatorRunDelayShare).toBeGreaterThan(0.5);
    expect(run.saturated).toBe(true);
  });

  it('is not noticed when the generator sleeps because the server is slow', { retry: 4 }, async () => {
    const port = await serverThat(answersAfter(50));
    const { run } = await generate('--port', String(port), '--clients', '2', '--duration-ms', '1000');
    expect(run.generatorCpuShare + (run.generatorRunDelayShare ?? 0)).toBeLessThan(0.7);
    expect(run.saturated).toBe(false);
  });
});

describe('lateness', () => {
  const ARGS = ['--mode', 'open', '--rate', '100', '--duration-ms', '2000', '--timeout-ms', '20000'];

  it('is the time during which the generator itself did not run', async () => {
    let requests = 0;
    const port = await serverThat((socket) => {
      echo(socket);
      socket.on('data', () => requests++);
    });
    const generator = startGenerator('--port', String(port), '--clients', '150', ...ARGS);
    await until(() => requests > 10, 'the load');
    generator.signal('SIGSTOP');
    await pause(600);
    generator.signal('SIGCONT');
    await generator.untilEnded();
    const run = JSON.parse(generator.stdout) as LoadResult;
    expect(run).toMatchObject({ late: true, due: 200, unsent: 0, response: { count: 200 } });
    expect(run.lateness?.count).toBe(200);
    // 60 requests were due meanwhile, one every 10 ms, and 150 connections free.
    expect(run.lateness?.worstMs).toBeGreaterThan(550);
    expect(run.lateness?.p99Ms).toBeGreaterThan(500);
    expect(run.response.worstMs).toBeGreaterThanOrEqual(run.lateness?.worstMs ?? Number.NaN);
    expect(run.responseRaw?.worstMs).toBeLessThan(run.response.worstMs);
  });

  it('is not the time during which the server keeps all connections busy', { retry: 4 }, async () => {
    const port = await serverThat(stallingOnce(400, 1000));
    const { run } = await generate('--port', String(port), '--clients', '4', ...ARGS);
    expect(run.missedSends).toBeGreaterThan(40);
    expect(run.response.p99Ms).toBeGreaterThan(500);
    expect(run.lateness?.p99Ms).toBeLessThan(100);
  });
});

describe('times', () => {
  // Other processes may delay one run, but not each of several.
  it('reports the percentiles of the delays that the server applied', { retry: 4 }, async () => {
    // 60 ms for most, 300 ms for a fifth, 1,000 ms for one in 40, so that no tested percentile is at a boundary; each
    // up to a fifth longer, so that the answers do not all fall into the same millisecond.
    const classMs = (n: number) => (n % 40 === 39 ? 1000 : n % 5 === 3 ? 300 : 60);
    const { behaviour, applied } = delaying((n) => classMs(n) * (1 + 0.2 * ((n * 0.618) % 1)));
    const port = await serverThat(behaviour);
    const { run } = await measured('--clients', '60', '--requests', '10', '--timeout', '20s', String(port));
    expect(run.errorTotal).toBe(0);
    expect(run.response.count).toBe(applied.length);
    const sorted = [...applied].sort((a, b) => a - b);
    // Not recorded by the server: two trips over loopback, and two wake-ups on shared cores, each of which may wait
    // for several scheduler slices of 3 ms.
    const allowedMs = 10;
    for (const [percent, name] of PERCENTILES) {
      const expectedMs = rank(sorted, percent);
      expect(run.response[name], name).toBeGreaterThan(expectedMs * 0.98 - 0.1);
      expect(run.response[name], name).toBeLessThan(expectedMs * 1.02 + allowedMs);
    }
    const meanMs = applied.reduce((sum, ms) => sum + ms, 0) / applied.length;
    expect(run.response.averageMs).toBeGreaterThan(meanMs * 0.98);
    expect(run.response.averageMs).toBeLessThan(meanMs * 1.02 + allowedMs);
    expect(run.response.worstMs).toBeGreaterThanOrEqual(rank(sorted, 100));
  });

  it('shows a stall in open mode that closed mode hides', { retry: 4 }, async () => {
    const [fromMs, toMs] = [400, 700];
    const common = ['--clients', '4', '--duration', '1500ms'];
    const closed = await measured(...common, String(await serverThat(stallingOnce(fromMs, toMs))));
    const open = await measured(
      ...['--mode', 'open', '--rate', '400', ...common],
      String(await serverThat(stallingOnce(fromMs, toMs))),
    );
    const raw = open.run.responseRaw;
    expect([closed.run.errorTotal, open.run.errorTotal]).toEqual([0, 0]);
    expect(closed.run.response.worstMs).toBeGreaterThan(250); // the stall happened
    expect(closed.run.response.p99Ms).toBeLessThan(100); // but does not show
    // 120 of 600 requests were due in the 300 ms, so the slowest hundredth waited nearly 300 ms.
    expect(open.run.response.p99Ms).toBeGreaterThan(250);
    expect(open.run.missedSends).toBeGreaterThan(80);
    // Timed from the actual send, only the four requests in flight were delayed.
    expect(raw?.p90Ms).toBeLessThan(100);
    expect(raw?.worstMs).toBeGreaterThan(250);
    expect(raw?.count).toBe(open.run.response.count);
  });
});
