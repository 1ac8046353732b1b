/**
 * Goal: the load generator knows what takes its time: its own CPU, other processes, a stop.
 * Method: generators as child processes that compete for a processor or are stopped, beside servers in this process. What
 * else runs on the machine changes nothing. test/load-times.test.ts has what needs a quiet one.
 */
import { constants, setPriority } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { LoadResult } from '../bench/load/schema.ts';
import { mainCpus, maskOf, setAffinity } from '../src/sys/affinity.ts';
import { Child } from './support/child.ts';
import { generate, startGenerator } from './support/load-bench.ts';
import { echo, serverThat } from './support/load-servers.ts';
import { threads } from './support/process.ts';
import { pause, until } from './support/wait.ts';

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
});

describe('lateness', () => {
  it('is the time during which the generator itself did not run', async () => {
    let requests = 0;
    const port = await serverThat((socket) => {
      echo(socket);
      socket.on('data', () => requests++);
    });
    const load = ['--mode', 'open', '--rate', '100', '--duration-ms', '2000', '--timeout-ms', '20000'];
    const generator = startGenerator('--port', String(port), '--clients', '150', ...load);
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
});
