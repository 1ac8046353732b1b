/**
 * Goal: a figure that cannot be read (no /proc, no descriptor left) is omitted, and nothing else changes: the server is
 * ready, its other figures are present, and a worker's death costs one connection.
 * Method: a failing read in this process; a child server that has used up its descriptors, and one without /proc in its
 * own mount namespace, where that is permitted. Their admin endpoint is queried over a connection opened before.
 */
import { spawnSync } from 'node:child_process';
import { Agent } from 'node:http';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ServerStatus } from '../src/schema/status.ts';
import { frameOf } from '../src/top/frame.ts';
import { plainView } from '../src/top/view.ts';
import { ask, sampleOf, startAdmin, watch } from './support/admin.ts';
import { Child, whenListening } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { expectForm } from './support/form.ts';
import { parseMetrics } from './support/metrics.ts';
import { startServer } from './support/server.ts';
import { until } from './support/wait.ts';

/** Checks both formats, and the text of `top`. */
function expectOmitted(statusText: string, metricsText: string): void {
  const status = JSON.parse(statusText) as ServerStatus;
  expect(status.process.residentBytes).toBeNull();
  expectForm(ServerStatus, status);
  expect(plainView(frameOf(status, null))).not.toMatch(/RSS|NaN|null/);
  const metrics = parseMetrics(metricsText);
  expect(sampleOf(metrics, 'process_resident_memory_bytes')).toBeUndefined();
  expect(sampleOf(metrics, 'state{state="listening"}')).toBe(1);
}

it('omits resident memory that cannot be read', async () => {
  const { server } = await startServer({ cpus: 1 });
  const { url } = await startAdmin(server);
  const noProc = Object.assign(new Error('no such file'), { code: 'ENOENT' });
  const rss = vi.spyOn(process.memoryUsage, 'rss').mockImplementation(() => {
    throw noProc;
  });
  onTestFinished(() => rss.mockRestore());
  const [status, metrics] = [await ask(url, '/status.json'), await ask(url, '/metrics')];
  expect([status.status, metrics.status]).toEqual([200, 200]);
  expectOmitted(status.body, metrics.body);
});

const PROGRAM = new URL('./support/exhausted-server.ts', import.meta.url).pathname;
const OPTIONS = {
  pretty: false,
  cpus: 1,
  cpuIntensiveThreshMs: 60_000,
  service: ['sleep:60s', 'burn:0.1ms'],
};
const WITHOUT_PROC = ['unshare', '-m', 'sh', '-c', 'umount -l /proc && exec "$0" "$@"'];
const [UNSHARE = '', ...UNSHARE_ARGS] = WITHOUT_PROC;
const canHideProc = spawnSync(UNSHARE, [...UNSHARE_ARGS, 'true']).status === 0;

describe.each([
  { what: 'no descriptor left', prefix: ['sh', '-c', 'ulimit -n 256 && exec "$0" "$@"'], skip: false },
  { what: 'no /proc', prefix: WITHOUT_PROC, skip: !canHideProc },
])('$what', ({ what, prefix, skip }) => {
  it.skipIf(skip)('keeps readiness, other figures and the handling of a worker’s death', async () => {
    const [command = '', ...args] = [...prefix, process.execPath, PROGRAM, JSON.stringify(OPTIONS)];
    const { child, port } = await whenListening(new Child(command, args));
    const { url } = (await child.line('admin')) as unknown as { url: string };
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    onTestFinished(() => agent.destroy());
    const answer = (path: string) => ask(url, path, { agent });
    await answer('/livez');
    const watcher = await watch(url);
    const doomed = await connectTo(port);
    const other = await connectTo(port);
    doomed.send('x');
    const statusOf = async () => {
      const { status, body } = await answer('/status.json');
      expect(status).toBe(200);
      return JSON.parse(body) as ServerStatus;
    };
    await until(async () => {
      const { workers } = (await statusOf()).stats;
      return workers.blocked === 1 && workers.starting === 0;
    }, 'its item to sleep, and all workers to have started');
    await other.echo('before');
    let [statusText, metricsText] = ['', ''];
    await until(async () => {
      if (what === 'no descriptor left') child.write('exhaust 0\n'); // again: a starting thread releases some
      expect(await answer('/readyz')).toMatchObject({ status: 200, body: 'listening\n' });
      statusText = (await answer('/status.json')).body;
      metricsText = (await answer('/metrics')).body;
      return statusText.includes('"residentBytes":null') && !/^\w+_resident_memory_bytes /m.test(metricsText);
    }, 'the figures to be omitted');
    expectOmitted(statusText, metricsText);
    child.write('kill\n');
    await doomed.untilClosed();
    expect(doomed.errorCode).toBe('ECONNRESET');
    await other.echo('after');
    expect((await statusOf()).stats).toMatchObject({
      threads: { died: { terminated: 1 } },
      connections: { active: 1, closed: { workerDied: 1 } },
    });
    const frames = watcher.named('status').length;
    await watcher.untilFrames(frames + 2);
    child.write('stop\n');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });
});
