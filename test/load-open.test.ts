/**
 * Goal: open mode accounts for every one of rate times duration requests as a sample, an error or unsent, and a
 * measurement with unsent requests does not pass as good.
 * Method: `kecho-pool bench` as a child process against servers in this process that are correct, slow or resetting.
 */
import { describe, expect, it } from 'vitest';
import { bench, measured, runsOf, startBench } from './support/load-bench.ts';
import { answersAfter, deadPort, echo, resets, serverThat } from './support/load-servers.ts';
import { until } from './support/wait.ts';

describe('open mode', () => {
  it('reports unsent requests when the server is too slow', async () => {
    const port = await serverThat(answersAfter(100));
    const args = ['--mode', 'open', '--rate', '100', '--clients', '2', '--duration', '2s', '--timeout', '2s'];
    const { run } = await measured(...args, String(port));
    // Two connections complete about 20 per second; with the drain of one timeout about 80 of 200.
    expect(run.response.count).toBeLessThan(90);
    expect(run.unsent).toBeGreaterThan(100);
    expect(run.response.count + run.errorTotal + (run.unsent ?? 0)).toBe(200);
    expect(run.due).toBe(200);
    expect(run.errorTotal).toBe(0);
    expect(run.missedSends).toBeGreaterThanOrEqual(run.unsent ?? Number.NaN);
  });

  it.each([
    ['a warm-up', answersAfter(100), ['--warmup', '300ms'], 0],
    ['connections that are all lost at once', resets, [], 2],
    ['no listener', null, [], 2],
  ])('accounts for every request of rate times duration with %s', async (_, server, more, errors) => {
    const port = server === null ? await deadPort() : await serverThat(server);
    const args = ['--mode', 'open', '--rate', '333', '--clients', '2', '--duration', '600ms'];
    const { run } = await measured(...args, '--timeout', '2s', ...more, String(port));
    // Rate times duration is 199.8: the last request is due just before the end.
    expect([run.due, run.errorTotal]).toEqual([200, errors]);
    const lost = server === null ? 0 : errors; // a failed connect loses no request
    expect(run.response.count + lost + (run.unsent ?? 0)).toBe(200);
  });

  it('counts only requests due before an interruption', async () => {
    let requests = 0;
    const port = await serverThat((socket) => {
      answersAfter(100)(socket);
      socket.on('data', () => requests++);
    });
    const args = ['--rate', '100', '--clients', '1', '--warmup', '0', '--duration', '5m', '--json'];
    const child = startBench(['--mode', 'open', ...args, String(port)]);
    await until(() => requests >= 3, 'requests to come');
    child.signal('SIGINT');
    await child.untilEnded();
    const [run] = runsOf(child);
    expect(run?.partial).toBe(true);
    // The first at once; windowMs is rounded.
    expect(run?.due).toBeLessThanOrEqual(Math.floor((run?.windowMs ?? 0) / 10) + 1);
    expect(run?.unsent).toBeLessThanOrEqual(run?.due ?? 0);
  });

  it('shows unsent requests in the table and the CSV, and fails thresholds on errors and times', async () => {
    const port = await serverThat(answersAfter(100));
    const times = ['--duration', '1s', '--timeout', '2s', '--warmup', '0'];
    const args = ['--mode', 'open', '--rate', '100', '--clients', '1', ...times];
    const plain = await bench(...args, String(port));
    expect(plain.code).toBe(0);
    expect(plain.stdout).toMatch(
      /response times in ms; >= at least: requests timed out or were never sent\n.* unsent +errors\n/,
    );
    expect(plain.stderr).toMatch(
      /\d+ of 100 requests were never sent: response times that they would raise are lower bounds/,
    );
    const failed = await bench(...args, '--csv', '--threshold', 'errors<1', String(port));
    expect(failed.code).toBe(10);
    expect(failed.stderr).toMatch(
      /threshold errors<1 failed at 1 clients: \d+ of 100 requests were never sent/,
    );
    const [names, values] = failed.stdout.split('\n').map((line) => line.split(','));
    expect(Number(values?.[names?.indexOf('unsent') ?? -1])).toBeGreaterThan(50);
    const allowed = await bench(
      ...args,
      '--threshold',
      'errors<1',
      '--threshold',
      'unsent<101',
      String(port),
    );
    expect(allowed.code).toBe(0);
  });

  it('shows an intended and a measured rate below 1 unrounded', async () => {
    const port = await serverThat(echo);
    const args = [
      '--mode',
      'open',
      '--rate',
      '0.8',
      '--clients',
      '1',
      '--duration',
      '2500ms',
      '--warmup',
      '0',
    ];
    const { stdout, stderr } = await bench(...args, '--threshold', 'throughput>5', String(port));
    expect(stdout).toContain(', 0.8 requests/s intended,');
    const [samples, perSecond] = stdout.split('\n')[3]?.trim().split(/ +/).slice(1) ?? [];
    expect(samples).toBe('2');
    expect(Number(perSecond)).toBeGreaterThan(0);
    expect(stderr).toMatch(/throughput>5 failed at 1 clients: 0\.\d+\/s/);
  });
});
