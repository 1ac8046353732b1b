/**
 * Goal: the admin endpoint's thread may die, hang, or be unable to start: echoes go on, it comes back at its address,
 * and nothing is left behind. While main is blocked, the endpoint answers, and shows how old main's figures are.
 * Method: a server and its endpoint in this process, whose thread has faults by order; child servers at their descriptor
 * limit and with a blocked main thread; and the thread's view of main alone, with answers that the test gives.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAdmin } from '../src/admin/index.ts';
import { MainSource } from '../src/admin/main-source.ts';
import type { Taken } from '../src/admin/messages.ts';
import { noDeaths } from '../src/pool/deaths.ts';
import { ServerStatus } from '../src/schema/status.ts';
import { monotonicMs } from '../src/sys/clock.ts';
import { ask, fakeSource, metricsOf, sampleOf, startAdmin, watch } from './support/admin.ts';
import { FAULTY_ADMIN_THREAD, orderAdminFault } from './support/admin-faults.ts';
import { Child, whenListening } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { expectForm } from './support/form.ts';
import { descriptors, hasCommand, threads } from './support/process.ts';
import { startServer } from './support/server.ts';
import { until } from './support/wait.ts';

const PROGRAM = new URL('./support/exhausted-server.ts', import.meta.url).pathname;

/** Keeps the error lines. */
function errorLog() {
  const lines: { cause?: string; hung?: boolean; text: string }[] = [];
  const error = (details: object, text: string) => void lines.push({ ...details, text });
  return { lines, logger: { info() {}, warn() {}, error } };
}

async function answers(url: string): Promise<boolean> {
  const answer = await ask(url, '/livez').catch(() => null); // reset: the thread that had accepted it has died
  return answer?.status === 200;
}

describe('a thread that ends', () => {
  it.each([
    { fault: 'throw', cause: 'error', hung: false },
    { fault: 'exit', cause: 'terminated', hung: false },
    { fault: 'outOfMemory', cause: 'outOfMemory', hung: false },
    { fault: 'hang', cause: 'terminated', hung: true },
  ] as const)('($fault) is replaced, and echoes go on', async ({ fault, ...expected }) => {
    const { server, port } = await startServer({ cpus: 1 });
    const client = await connectTo(port);
    await client.echo('before');
    const rest = { descriptors: descriptors(), threads: threads() };
    const { lines, logger } = errorLog();
    const { admin, url } = await startAdmin(server, { logger, entry: FAULTY_ADMIN_THREAD });
    const reader = await watch(url);
    await reader.untilFrames(1);
    orderAdminFault(fault);
    let echoes = 1;
    await until(async () => {
      await client.echo('meanwhile');
      echoes++;
      return reader.ended;
    }, 'the stream to end');
    await until(() => answers(url), 'the endpoint to answer');
    // On a busy machine the thread may count as hung before it has run out of memory; it may still do so before it is terminated.
    const isSlow = fault === 'outOfMemory' && lines[0]?.hung === true;
    const hung = expected.hung || isSlow;
    const cause = isSlow && lines[0]?.cause === 'terminated' ? 'terminated' : expected.cause;
    const metrics = await metricsOf(url);
    expect(sampleOf(metrics, 'admin_threads_created_total')).toBe(2);
    expect(sampleOf(metrics, `admin_threads_died_total{cause="${cause}"}`)).toBe(1);
    await until(
      async () => sampleOf(await metricsOf(url), 'echoes_total') === echoes,
      'the echoes to be counted',
    );
    expect(lines).toMatchObject([{ cause, hung, text: 'admin endpoint died; it is started again' }]);
    expect(server.stats().threads.died).toEqual(noDeaths());
    await admin.close();
    await until(() => descriptors() <= rest.descriptors, 'its descriptors to be closed');
    await until(() => threads() <= rest.threads, 'its threads to end');
  });

  it('is not replaced by a stop: while it hangs, or before the next one is made', async () => {
    const rest = threads();
    for (const fault of ['hang', 'exit'] as const) {
      const listen = join(temporaryFolder(), 'a.sock');
      const { admin, url } = await startAdmin(fakeSource(), { listen, entry: FAULTY_ADMIN_THREAD });
      const reader = await watch(url);
      orderAdminFault(fault);
      if (fault === 'exit') await until(() => reader.ended, 'its end');
      await admin.close();
      expect(existsSync(listen)).toBe(false);
      await until(() => threads() <= rest, 'its threads to end');
    }
  });
});

it('rejects when its thread cannot be started, and listens no more', async () => {
  const listen = join(temporaryFolder(), 'a.sock');
  const rest = descriptors();
  const admin = createAdmin(fakeSource(), { listen, entry: new URL('./nowhere.ts', import.meta.url) });
  await expect(admin.listen()).rejects.toThrow('nowhere.ts');
  expect(existsSync(listen)).toBe(false);
  await admin.close();
  await until(() => descriptors() <= rest, 'its descriptors to be closed');
});

it.skipIf(!hasCommand('prlimit'))(
  'comes back once there are descriptors (skipped without prlimit)',
  async () => {
    const child = new Child(process.execPath, [PROGRAM, JSON.stringify({ pretty: false, cpus: 1 })]);
    const { port } = await whenListening(child);
    const { url } = (await child.line('admin')) as unknown as { url: string };
    const client = await connectTo(port);
    await client.echo('before');
    const limit = (soft: string) =>
      execFileSync('prlimit', ['--pid', String(child.process.pid), `--nofile=${soft}:`]);
    limit('3'); // no descriptor can be opened, however many are closed
    child.write('fault throw\n');
    await child.line('admin endpoint died; it is started again');
    await child.line('admin endpoint cannot be started; trying again');
    await client.echo('meanwhile');
    limit('256');
    await until(() => answers(url), 'the endpoint to answer');
    expect(sampleOf(await metricsOf(url), 'admin_threads_created_total')).toBe(2);
    expect(child.linesSaying('admin endpoint cannot be started; trying again')).toHaveLength(1);
    child.write('stop\n');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  },
);

it('answers while main is blocked, with current figures of the workers', async () => {
  const options = [
    JSON.stringify({ pretty: false, cpus: 1 }),
    JSON.stringify({ lateMs: 250, stuckMs: 3_600_000 }),
  ];
  const { child, port } = await whenListening(new Child(process.execPath, [PROGRAM, ...options]));
  const { url } = (await child.line('admin')) as unknown as { url: string };
  const client = await connectTo(port);
  await client.echo('before');
  const statusOf = async () => JSON.parse((await ask(url, '/status.json')).body) as ServerStatus;
  await until(async () => (await statusOf()).stats.state === 'listening', 'main to be ready');
  const done = join(temporaryFolder(), 'done');
  onTestFinished(() => writeFileSync(done, ''));
  child.write(`block ${done}\n`);
  await until(async () => (await statusOf()).snapshotAgeMs > 1000, 'main to be late');
  const { echoes } = (await statusOf()).stats;
  for (let more = 1; more <= 3; more++) {
    await client.echo('meanwhile');
    await until(async () => (await statusOf()).stats.echoes === echoes + more, 'the echo to be counted');
    expect(sampleOf(await metricsOf(url), 'echoes_total')).toBe(echoes + more);
  }
  const late = await statusOf();
  expectForm(ServerStatus, late);
  expect(late.snapshotAgeMs).toBeGreaterThan(1000);
  expect(late.stats).toMatchObject({ state: 'listening', connections: { accepted: 1, active: 1 } });
  expect(sampleOf(await metricsOf(url), 'snapshot_age_seconds')).toBeGreaterThan(1);
  expect(await ask(url, '/livez')).toMatchObject({ status: 200 });
  expect(await ask(url, '/readyz')).toMatchObject({ status: 200, body: 'listening\n' });
  await (await watch(url)).untilFrames(3);
  writeFileSync(done, '');
  await until(async () => (await statusOf()).snapshotAgeMs < 1000, 'main to answer');
  child.write('stop\n');
  expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
});

describe("the thread's view of main", () => {
  const HOUR_MS = 3_600_000;

  function taken(uptimeMs: number): Taken {
    const status = { ...fakeSource().status(), uptimeMs };
    return { kind: 'whole', status, atMs: monotonicMs(), threads: { created: 1, died: noDeaths() } };
  }

  function view(lateMs: number, stuckMs = HOUR_MS) {
    const asked: string[] = [];
    const options = { files: new Map(), loopbackHost: null, snapshotAgeMs: 0 };
    const timeouts = { headersMs: HOUR_MS, requestMs: HOUR_MS, keepAliveMs: HOUR_MS, stalledMs: HOUR_MS };
    const data = {
      fd: -1,
      options: { ...options, timeouts },
      lateMs,
      stuckMs,
      reason: null,
      taken: taken(1),
    };
    return { asked, source: new MainSource(data, (what) => asked.push(what)) };
  }

  it('is what main answers to a question asked after the request', async () => {
    const { asked, source } = view(HOUR_MS);
    for (const uptimeMs of [2, 3]) {
      const both = [source.status(), source.status()];
      await until(() => asked.length === uptimeMs - 1, 'main to be asked');
      source.take({ kind: 'status', taken: taken(uptimeMs), reason: 'new' });
      for (const status of await Promise.all(both)) expect(status.uptimeMs).toBe(uptimeMs);
    }
    const ready = source.notReadyReason();
    source.take({ kind: 'ready', reason: 'draining' });
    expect(await ready).toBe('draining');
    expect(asked).toEqual(['status', 'status', 'ready']);
  });

  it('costs main one answer per 10 ms, for any number of requests', async () => {
    const { asked, source } = view(HOUR_MS);
    const startMs = monotonicMs();
    for (let answers = 1; answers <= 5; answers++) {
      const all = Array.from({ length: 40 }, () => source.notReadyReason());
      await until(() => asked.length === answers, 'main to be asked');
      source.take({ kind: 'ready', reason: null });
      await Promise.all(all);
    }
    expect(asked).toHaveLength(5);
    expect(monotonicMs() - startMs).toBeGreaterThan(4 * 9);
  });

  it('is its last answer while it is late, and it is asked once', async () => {
    const { asked, source } = view(1);
    expect((await source.status()).uptimeMs).toBe(1);
    expect((await source.status()).uptimeMs).toBe(1);
    expect(await source.notReadyReason()).toBeNull();
    expect(asked).toEqual(['status', 'ready']);
    source.take({ kind: 'ping', reason: 'draining' });
    expect(await source.notReadyReason()).toBe('draining');
    source.take({ kind: 'status', taken: taken(2), reason: null }); // the late answer
    expect((await source.status()).uptimeMs).toBe(2);
    await until(() => asked.length === 3, 'main to be asked');
    expect(asked).toEqual(['status', 'ready', 'status']);
  });

  it('is that it is stuck once it has been silent for too long, and until it is heard', async () => {
    const { source } = view(1, 50);
    const stuck = 'the main thread does not answer';
    await until(async () => (await source.stuckReason()) === stuck, 'main to count as stuck');
    expect(await source.notReadyReason()).toBe(stuck);
    await until(async () => {
      source.take({ kind: 'ping', reason: null });
      return (await source.stuckReason()) === null;
    }, 'main to be heard');
  });

  it('asks no more once main has ended it', async () => {
    const { asked, source } = view(HOUR_MS);
    const waiting = source.status();
    source.take({ kind: 'close', reason: 'stopped', taken: taken(2) });
    expect((await waiting).uptimeMs).toBe(2);
    expect(await source.notReadyReason()).toBe('stopped');
    expect((await source.status()).uptimeMs).toBe(2);
    expect(asked).toEqual(['status']);
  });
});
