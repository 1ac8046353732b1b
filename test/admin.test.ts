/**
 * Goal: the admin endpoint tells the truth in each of its forms, to browsers, to Prometheus and to the eye; it listens
 * where it was told to and nowhere else; watching is bounded and ends with the server.
 * Method: endpoints in this process before real servers, or before a made-up status where a state or a size is needed
 * that a real server does not reach at will; the command as a child process. Every answer is checked against a reader
 * of its format: the JSON schema, a strict parser of metrics, promtool and a Prometheus where they are installed.
 */
import { once } from 'node:events';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import type { Server as HttpServer } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { createAdmin } from '../src/admin/index.ts';
import { isDue, MAX_WATCHERS, Watchers } from '../src/admin/watchers.ts';
import { createEchoServer } from '../src/index.ts';
import { parseAdminAddress } from '../src/options/admin-address.ts';
import type { ServerStats } from '../src/stats.ts';
import type { ServerStatus } from '../src/status.ts';
import { libc } from '../src/sys/libc.ts';
import { ask, fakeSource, open, startAdmin, watch } from './support/admin.ts';
import { BIN, Child, runBin, startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { type Schema, schemaErrors } from './support/compare-schema.ts';
import { type Metric, parseMetrics } from './support/metrics.ts';
import { hasCommand } from './support/process.ts';
import { STRATEGIES, startServer, untilActive } from './support/server.ts';
import { until, within } from './support/wait.ts';

const SCHEMA_FILE = new URL('../src/admin/status.schema.json', import.meta.url);
const schema = JSON.parse(readFileSync(SCHEMA_FILE, 'utf8')) as Schema;

const globalsBefore = { Request, Response };

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'kecho-admin-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  return folder;
}

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;

/** A socket of another program at this path. */
function bindUnix(type: number, path: string): number {
  const fd = libc.socket(AF_UNIX, type, 0);
  const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(`${path}\0`)]); // in the machine's order
  onTestFinished(() => {
    libc.close(fd);
  });
  expect(libc.bind(fd, address, address.length)).toBe(0);
  return fd;
}

/** Nothing is under way that a counter would still count. */
function isSteady({ items, workers, connections }: ServerStats): boolean {
  const inItems = connections.active - connections.queued; // kthread, workqueue: a connection is an item
  const openItems = items.started - items.completed;
  return workers.starting === 0 && (openItems === 0 || openItems === inItems);
}

async function metricsOf(url: string): Promise<Map<string, Metric>> {
  const { status, headers, body } = await ask(url, '/metrics');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  return parseMetrics(body);
}

function value(metrics: Map<string, Metric>, sample: string): number | undefined {
  const name = `kecho_pool_${sample}`;
  return metrics.get(name.replace(/\{.*/, ''))?.samples.get(name);
}

describe('where it listens', () => {
  it.each([
    ['9090', { kind: 'tcp', host: '127.0.0.1', port: 9090 }],
    ['0', { kind: 'tcp', host: '127.0.0.1', port: 0 }],
    ['127.0.0.1:65535', { kind: 'tcp', host: '127.0.0.1', port: 65535 }],
    ['[::1]:80', { kind: 'tcp', host: '::1', port: 80 }],
    ['0.0.0.0:9090', { kind: 'tcp', host: '0.0.0.0', port: 9090 }],
    ['localhost:1', { kind: 'tcp', host: 'localhost', port: 1 }],
    ['/run/kecho.sock', { kind: 'unix', path: '/run/kecho.sock' }],
    ['./k.sock', { kind: 'unix', path: './k.sock' }],
    ['unix:k.sock', { kind: 'unix', path: 'k.sock' }],
    [`/${'x'.repeat(106)}`, { kind: 'unix', path: `/${'x'.repeat(106)}` }],
  ])('%s', (text, address) => {
    expect(parseAdminAddress(text)).toEqual(address);
  });

  it.each([
    '',
    'on',
    '65536',
    '-1',
    '1.5',
    ':9090',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:99999',
    '::1:80',
    '[::1]',
    '[127.0.0.1]:80',
    'http://127.0.0.1:80',
    'a b:80',
    'unix:',
    '/',
    '/a\n',
    '/a\0b',
    `/${'x'.repeat(107)}`,
    `/${'é'.repeat(54)}`,
  ])('not %j', (text) => {
    expect(parseAdminAddress(text)).toBeNull();
    expect(() => createAdmin(fakeSource(), { listen: text })).toThrow(/^listen: .*a port like 9090/);
  });
});

const hasLoopback6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
);

it.skipIf(!hasLoopback6)('listens on [::1], and takes its own name there and no foreign one', async () => {
  const { url, port } = await startAdmin(fakeSource(), { listen: '[::1]:0' });
  expect(url).toBe(`http://[::1]:${port}/`);
  const withHost = async (host: string) => (await ask(url, '/livez', { headers: { Host: host } })).status;
  expect(await withHost(`[::1]:${port}`)).toBe(200);
  expect(await withHost('[::2]')).toBe(421);
});

it('has no URL before it listens', () => {
  expect(() => createAdmin(fakeSource()).url).toThrow('does not listen');
});

it('an accept that fails is told, and the endpoint goes on', async () => {
  const errors: object[] = [];
  const logger = {
    info() {},
    warn() {},
    error: (details: object, text: string) => errors.push({ details, text }),
  };
  const { admin, url } = await startAdmin(fakeSource(), { logger });
  const error = Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' });
  (admin as unknown as { http: HttpServer }).http.emit('error', error); // as node:net tells of it
  expect(errors).toEqual([{ details: { err: error }, text: 'the admin endpoint failed to accept' }]);
  expect((await ask(url, '/livez')).status).toBe(200);
});

describe('live and ready', () => {
  it('is ready only while the server listens', async () => {
    const server = createEchoServer({ port: 0, logLevel: 'silent' });
    onTestFinished(async () => void (await server.close({ drainTimeoutMs: 0 })));
    const { url } = await startAdmin(server);
    const ready = async () => {
      const { status, body } = await ask(url, '/readyz');
      return { status, body };
    };
    expect(await ready()).toEqual({ status: 503, body: 'new\n' });
    const { port } = await server.listen();
    expect(await ready()).toEqual({ status: 200, body: 'listening\n' });
    const client = await connectTo(port);
    await client.echo('open');
    const closing = server.close({ drainTimeoutMs: 60_000 });
    expect(await ready()).toEqual({ status: 503, body: 'draining\n' });
    await client.quit();
    await closing;
    expect(await ready()).toEqual({ status: 503, body: 'stopped\n' });
    expect(await ask(url, '/livez')).toMatchObject({ status: 200, body: 'alive\n' });
    expect(schemaErrors(schema, JSON.parse((await ask(url, '/status.json')).body))).toEqual([]);
  });

  it('is not ready while the server starts', async () => {
    const { url } = await startAdmin(fakeSource());
    expect(await ask(url, '/readyz')).toMatchObject({ status: 503, body: 'starting\n' });
  });
});

it('is not ready while the server has no listening socket', async () => {
  const source = fakeSource(); // its address is null
  source.state = 'listening';
  const { url } = await startAdmin(source);
  expect(await ask(url, '/readyz')).toMatchObject({ status: 503, body: 'listening socket lost\n' });
});

describe.each(STRATEGIES)('%s: figures', (strategy) => {
  const options = strategy === 'workqueue' ? { workers: 2 } : {};

  it('are those of the server, in the published form', async () => {
    const { server, port } = await startServer({ strategy, service: ['sleep:5ms', 'burn:1ms'], ...options });
    const { url } = await startAdmin(server);
    expect((await ask(url, '/status.schema.json')).body).toBe(readFileSync(SCHEMA_FILE, 'utf8'));
    const clients = [await connectTo(port), await connectTo(port)];
    for (const client of clients) await client.echo('twelve bytes');
    await until(() => server.stats().echoes === 2, 'the echoes to be counted');
    clients[1]?.send('x'); // somebody may be at work during the snapshot
    const { status, headers, body } = await ask(url, '/status.json');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    const found = JSON.parse(body) as ServerStatus;
    expect(schemaErrors(schema, found)).toEqual([]);
    expect(found).toMatchObject({
      pid: process.pid,
      address: { address: '127.0.0.1', port },
      services: ['sleep:5ms', 'burn:1ms'],
      stats: { state: 'listening', strategy, connections: { accepted: 2, active: 2 } },
    });
    expect(found.workers.length).toBeGreaterThan(0);
    expect(found.events.map(({ kind }) => kind)).toContain('listening');
  });

  it('are exact as metrics, and never fall', async () => {
    const { server, port } = await startServer({ strategy, maxConnections: 2, ...options });
    const { url } = await startAdmin(server);
    expect(value(await metricsOf(url), 'echoes_total')).toBe(0);
    const clients = [await connectTo(port), await connectTo(port)];
    for (let i = 0; i < 100; i++) await clients[i % 2]?.echo('ten bytes.');
    const refused = await connectTo(port).catch(() => null); // may be reset before it knows
    await refused?.untilClosed();
    await clients[0]?.quit();
    await untilActive(server, 1);
    const { limits } = server;
    // Under kthread a thread that has done its work ends a moment later.
    await until(() => isSteady(server.stats()), 'the pool to come to rest');
    const metrics = await metricsOf(url);
    const stats = server.stats();
    const expected: Record<string, number | undefined> = {
      echoes_total: 100,
      received_bytes_total: 1000,
      sent_bytes_total: 1000,
      connections_accepted_total: 2,
      connections_open: 1,
      'connections_closed_total{reason="eof"}': 1,
      'connections_closed_total{reason="error"}': 0,
      'connections_refused_total{reason="maxConnections"}': 1,
      'state{state="listening"}': 1,
      'state{state="draining"}': 0,
      max_connections: 2,
      max_workers: limits.maxWorkers,
      max_queued: strategy === 'cmwq' ? undefined : 65536,
      max_active: strategy === 'cmwq' ? 1024 : undefined,
      'cpu_pool_connections{pool="0"}': strategy === 'cmwq' ? stats.cpuPools[0]?.connections : undefined,
      items_started_total: stats.items.started,
      items_completed_total: stats.items.completed,
    };
    for (const [sample, wanted] of Object.entries(expected)) {
      expect(value(metrics, sample), sample).toBe(wanted);
    }
    expect(metrics.get('kecho_pool_info')?.samples.size).toBe(1);
    const again = await metricsOf(url);
    expect([...again.keys()]).toEqual([...metrics.keys()]);
    for (const [name, { type, samples }] of metrics) {
      if (type === 'gauge') continue;
      for (const [sample, before] of samples) {
        expect(again.get(name)?.samples.get(sample), sample).toBeGreaterThanOrEqual(before);
      }
    }
  });
});

describe('metrics', () => {
  it('histograms add up to what was measured', async () => {
    const source = fakeSource();
    const status = source.status();
    source.status = () => ({
      ...status,
      latency: {
        dispatch: { boundsSeconds: [0.000001, 0.5], counts: [3, 0, 4], count: 7, sumSeconds: 12.25 },
        echo: { boundsSeconds: [1], counts: [0, 0], count: 0, sumSeconds: 0 },
      },
    });
    const { url } = await startAdmin(source);
    const { samples } = (await metricsOf(url)).get('kecho_pool_dispatch_latency_seconds') as Metric; // it is there
    const name = 'kecho_pool_dispatch_latency_seconds';
    expect(Object.fromEntries(samples)).toEqual({
      [`${name}_bucket{le="0.000001"}`]: 3,
      [`${name}_bucket{le="0.5"}`]: 3,
      [`${name}_bucket{le="+Inf"}`]: 7,
      [`${name}_sum`]: 12.25,
      [`${name}_count`]: 7,
    });
  });

  it('a connection refused after it was admitted is counted once as accepted', async () => {
    const source = fakeSource();
    const { connections } = source.status().stats; // shared with what is served
    connections.accepted = 5;
    connections.refused.queueAge = 1;
    const { url } = await startAdmin(source);
    expect(value(await metricsOf(url), 'connections_accepted_total')).toBe(5);
  });

  it('has a bounded number of series', async () => {
    const source = fakeSource();
    const { stats } = source.status(); // shared with what is served
    stats.cpuPools = Array.from({ length: 256 }, () => ({
      connections: 1,
      nrRunning: 1,
      nrActive: 1,
      slot: 7,
    }));
    const { url } = await startAdmin(source);
    const metrics = await metricsOf(url);
    const sizes = [...metrics.values()].map(({ samples }) => samples.size);
    expect(Math.max(...sizes)).toBe(256);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(4 * 256 + 200);
  });

  it.skipIf(!hasCommand('promtool'))('promtool finds nothing to say (skipped without promtool)', async () => {
    const { server } = await startServer({});
    const { url } = await startAdmin(server);
    const child = new Child('promtool', ['check', 'metrics']);
    child.process.stdin?.end((await ask(url, '/metrics')).body);
    const ended = await child.untilEnded();
    expect(child.stdout + child.stderr).toBe('');
    expect(ended).toEqual({ code: 0, signal: null });
  });

  it.skipIf(!hasCommand('prometheus'))('a Prometheus scrapes it (skipped without prometheus)', async () => {
    const { server, port } = await startServer({});
    const { url } = await startAdmin(server);
    await (await connectTo(port)).echo('counted');
    const folder = temporaryFolder();
    const config = join(folder, 'prometheus.yml');
    const free = await freePort();
    writeFileSync(
      config,
      `global: {scrape_interval: 1s}\nscrape_configs: [{job_name: kecho, static_configs: [{targets: ['${new URL(url).host}']}]}]\n`,
    );
    const args = [
      `--config.file=${config}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${free}`,
    ];
    const child = new Child('prometheus', args);
    const query = async () => {
      if (child.ended !== null) throw new Error(child.stderr);
      const answer = await ask(
        `http://127.0.0.1:${free}`,
        '/api/v1/query?query=kecho_pool_echoes_total',
      ).catch(
        () => null, // it does not listen yet
      );
      const { data } = JSON.parse(answer?.status === 200 ? answer.body : '{}') as {
        data?: { result: { value: [number, string] }[] };
      };
      return data?.result[0]?.value[1];
    };
    await until(async () => (await query()) === '1', 'a scrape', 25_000);
    child.signal('SIGTERM');
    await child.untilEnded();
  });
});

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number }; // it listens on TCP
  await new Promise((resolve) => server.close(resolve));
  return port;
}

describe('events', () => {
  it('come in the stated form, the first at once, as many a second as asked for', async () => {
    const source = fakeSource();
    const { url } = await startAdmin(source);
    const reader = await watch(url, '?hz=10');
    const headers = reader.response.headers;
    expect(headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(headers['cache-control']).toBe('no-store');
    await reader.untilFrames(3);
    expect(reader.events.map(({ event, id }) => [event, id]).slice(0, 3)).toEqual([
      ['status', '1'],
      ['status', '2'],
      ['status', '3'],
    ]);
    for (const status of reader.statuses()) expect(schemaErrors(schema, status)).toEqual([]);
    for (const bad of ['0', '11', '-1', '1.5', '010', 'x', '']) {
      expect((await ask(url, `/events?hz=${bad}`)).status, bad).toBe(400);
    }
  });

  it('a rate is kept exactly and spread evenly', () => {
    for (let hz = 1; hz <= 10; hz++) {
      const due = Array.from({ length: 1000 }, (_, tick) => isDue(tick, hz));
      expect(due.filter(Boolean).length).toBe(hz * 100);
      const gaps = due
        .flatMap((isNow, tick) => (isNow ? [tick] : []))
        .map((t, i, all) => t - (all[i - 1] ?? t));
      expect(Math.max(...gaps.slice(1)) - Math.min(...gaps.slice(1))).toBeLessThanOrEqual(1);
    }
  });

  it('one snapshot serves all who watch', async () => {
    const source = fakeSource();
    const { url, admin } = await startAdmin(source);
    source.asked = 0;
    const readers = await Promise.all(Array.from({ length: 8 }, () => watch(url)));
    await Promise.all(readers.map((reader) => reader.untilFrames(5)));
    expect(source.asked).toBe(admin.watchers.frames.made);
    expect(admin.watchers.frames.sent).toBeGreaterThanOrEqual(8 * 5);
    expect(admin.watchers.frames.made).toBeLessThan(admin.watchers.frames.sent / 2);
    const ids = readers.map((reader) => reader.events.map(({ id }) => id).slice(1, 5));
    expect(new Set(ids.flat()).size).toBeLessThan(ids.flat().length / 2); // the same frames
  });

  it('takes 16 and not one more, until one has left', async () => {
    const { url, admin } = await startAdmin(fakeSource());
    const readers = [];
    for (let i = 0; i < MAX_WATCHERS; i++) readers.push(await watch(url, '?hz=1'));
    expect(await ask(url, '/events')).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    expect(value(await metricsOf(url), 'admin_watchers')).toBe(16);
    readers[3]?.response.destroy();
    await until(() => admin.watchers.size === MAX_WATCHERS - 1, 'one to be gone');
    await (await watch(url)).untilFrames(1);
  });

  it('a page of another site takes no place', async () => {
    const { url, admin } = await startAdmin(fakeSource());
    for (const site of ['cross-site', 'same-site']) {
      expect((await ask(url, '/events', { headers: { 'Sec-Fetch-Site': site } })).status).toBe(403);
    }
    const own = await open(url, '/events', { headers: { 'Sec-Fetch-Site': 'same-origin' } });
    expect(own.statusCode).toBe(200);
    own.destroy();
    expect((await ask(url, '/events', { method: 'HEAD' })).status).toBe(200);
    await until(() => admin.watchers.size === 0, 'nobody to watch');
  });

  it('who reads slowly loses frames, which are counted, and takes no memory; others lose none', async () => {
    const frameBytes = 2 ** 20;
    const { url, admin } = await startAdmin(fakeSource(frameBytes));
    const [slow, fast] = [await watch(url), await watch(url, '?hz=2')];
    await slow.stopReading();
    const lost = () => admin.watchers.frames.lost;
    await until(() => lost() >= 3, 'frames to be lost');
    await fast.untilFrames(fast.events.length + 3);
    expect(Math.max(...admin.watchers.waitingBytes)).toBeLessThan(1.1 * frameBytes);
    expect(fast.named('lost')).toEqual([]);
    const metrics = await metricsOf(url);
    expect(value(metrics, 'admin_frames_lost_total')).toBeGreaterThanOrEqual(3);
    slow.response.socket.resume();
    await until(() => slow.named('lost').length > 0, 'the slow one to learn of it');
    const told = JSON.parse(slow.named('lost')[0]?.data ?? '') as { frames: number };
    expect(told.frames).toBeGreaterThanOrEqual(3);
    expect(told.frames).toBeLessThanOrEqual(lost());
    const ids = slow.named('status').map(({ id }) => Number(id));
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
  });

  it('who takes nothing at all is cut', async () => {
    const { url, admin } = await startAdmin(fakeSource(2 ** 20), { timeouts: { stalledMs: 400 } });
    const [stalled, reading] = [await watch(url), await watch(url)];
    await stalled.stopReading();
    await until(() => admin.watchers.size === 1, 'the stalled one to be cut');
    await reading.untilFrames(reading.events.length + 2);
    expect(reading.ended).toBe(false);
  });

  it('a browser comes back after a restart', async () => {
    const source = fakeSource();
    const first = await startAdmin(source);
    const script =
      `setInterval(() => {}, 1000); const s = new EventSource('${first.url}events');` +
      `s.onopen = () => console.log(JSON.stringify({msg: 'open'}));` +
      `s.addEventListener('status', (e) => console.log(JSON.stringify({msg: 'status', id: e.lastEventId})));`;
    const child = new Child(process.execPath, ['--experimental-eventsource', '--eval', script]);
    await child.line('status');
    await first.admin.close();
    await startAdmin(source, { listen: String(first.port) });
    await child.line('open', 1);
    const seen = child.linesSaying('status').length;
    await child.line('status', seen);
  });

  it('ends with a last frame when the endpoint closes', async () => {
    const source = fakeSource();
    const { url, admin } = await startAdmin(source);
    const reader = await watch(url, '?hz=1');
    await reader.untilFrames(1);
    await admin.close();
    await until(() => reader.ended, 'the end of the stream');
    expect(reader.named('status').length).toBeGreaterThanOrEqual(2);
    expect(reader.text).toBe(''); // no part of a frame
  });
});

describe('while nobody watches', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('there is no timer and no snapshot', () => {
    vi.useFakeTimers();
    const source = fakeSource();
    const watchers = new Watchers(
      () => source.status(),
      (error) => expect.unreachable(error.message),
    );
    expect(vi.getTimerCount()).toBe(0);
    const response = new FakeResponse();
    watchers.add(response as never, 2);
    vi.advanceTimersByTime(3000);
    expect(source.asked).toBe(1 + 6);
    expect(response.written.length).toBe(1 + 6);
    response.closed();
    expect(vi.getTimerCount()).toBe(0);
    vi.advanceTimersByTime(10_000);
    expect(source.asked).toBe(1 + 6);
  });
});

/** The part of a ServerResponse that Watchers uses, taking everything at once. */
class FakeResponse {
  readonly written: string[] = [];
  readonly writableNeedDrain = false;
  readonly writableLength = 0;
  closed: () => void = () => {};
  once(_: 'close', listener: () => void): void {
    this.closed = listener;
  }
  writeHead(): void {}
  write(text: string): void {
    this.written.push(text);
  }
}

describe('a status that cannot be taken', () => {
  it('ends the streams and is told; the endpoint goes on', async () => {
    const source = fakeSource();
    const errors: object[] = [];
    const logger = { info() {}, warn() {}, error: (details: object) => errors.push(details) };
    const { url } = await startAdmin(source, { logger });
    const reader = await watch(url);
    const { status } = source;
    source.status = () => {
      throw new Error('broken on purpose');
    };
    await until(() => reader.ended, 'the stream to end');
    for (const path of ['/status.json', '/metrics', '/events']) {
      expect(await ask(url, path)).toMatchObject({ status: 500, body: 'internal error\n' });
    }
    expect(errors.length).toBe(4);
    source.status = status;
    await (await watch(url)).untilFrames(2);
  });
});

describe('closing', () => {
  it('waits for no client: silent, in the middle of a request, or not reading', async () => {
    const hourMs = 3_600_000;
    const timeouts = { headersMs: hourMs, requestMs: hourMs, keepAliveMs: hourMs, stalledMs: hourMs };
    const { admin, url, port } = await startAdmin(fakeSource(2 ** 20), { timeouts });
    const stalled = await watch(url);
    await stalled.stopReading();
    await until(() => admin.watchers.frames.lost > 0, 'frames to be lost');
    const silent = await connectTo(port);
    const halfway = await connectTo(port, { first: Buffer.from('GET /livez HTTP/1.1\r\nHost: loc') });
    await until(async () => (await ask(url, '/livez')).status === 200, 'those before to be accepted');
    await within(admin.close(), 'the end');
    await Promise.all([silent.untilOver(), halfway.untilOver()]);
  });

  it('happens at the end of its scope by `await using`', async () => {
    let url: string;
    {
      await using admin = createAdmin(fakeSource());
      ({ url } = await admin.listen());
      expect((await ask(url, '/livez')).status).toBe(200);
    }
    await expect(ask(url, '/livez')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('during the start wins', async () => {
    for (const listen of ['0', join(temporaryFolder(), 'a.sock')]) {
      const admin = createAdmin(fakeSource(), { listen });
      const listening = admin.listen();
      await Promise.all([admin.close(), expect(listening).rejects.toThrow('was closed while it started')]);
      await expect(admin.listen()).rejects.toThrow('was closed');
      expect(existsSync(listen)).toBe(false);
    }
  });
});

it('leaves the globals of a program that uses it alone', async () => {
  await startAdmin(fakeSource());
  expect(globalThis.Request).toBe(globalsBefore.Request);
  expect(globalThis.Response).toBe(globalsBefore.Response);
});

describe('files', () => {
  it('serves the dashboard folder as it was at the start, and nothing else', async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, 'index.html'), '<!doctype html><title>t</title>');
    writeFileSync(join(folder, 'dashboard.js'), 'export {};');
    writeFileSync(join(folder, 'dashboard.css'), ':root {}');
    writeFileSync(join(folder, 'notes.txt'), 'secret');
    writeFileSync(join(folder, '.hidden.js'), 'secret');
    const { url } = await startAdmin(fakeSource(), { dashboard: pathToFileURL(`${folder}/`) });
    writeFileSync(join(folder, 'dashboard.js'), 'changed');
    writeFileSync(join(folder, 'later.js'), 'secret');
    const types = { '/': 'text/html', '/dashboard.js': 'text/javascript', '/dashboard.css': 'text/css' };
    for (const [path, type] of Object.entries(types)) {
      const { status, headers } = await ask(url, path);
      expect([status, headers['content-type']]).toEqual([200, `${type}; charset=utf-8`]);
    }
    expect((await ask(url, '/dashboard.js')).body).toBe('export {};');
    for (const path of ['/notes.txt', '/later.js', '/index.html', '/dashboard', '/.', '/dashboard.js/']) {
      const { status, body } = await ask(url, path);
      expect(path === '/.' ? 200 : status, path).toBe(path === '/.' ? 200 : 404);
      expect(body).not.toContain('secret');
    }
  });

  it('without a dashboard it has the paths at /, and each of them answers', async () => {
    const nowhere = pathToFileURL(`${join(temporaryFolder(), 'nowhere')}/`);
    const { url } = await startAdmin(fakeSource(), { dashboard: nowhere });
    const { status, body } = await ask(url, '/');
    expect([status, body.split('\n')[0]]).toEqual([200, '/livez']);
    for (const path of body.trimEnd().split('\n')) {
      const response = await open(url, path);
      response.destroy();
      expect(response.statusCode, path).toBe(path === '/readyz' ? 503 : 200); // it starts
    }
  });

  it('a dashboard that cannot be read is told at the start', () => {
    const dashboard = new URL('./', pathToFileURL(`${import.meta.filename}/`)); // a file
    expect(() => createAdmin(fakeSource(), { dashboard })).toThrow('ENOTDIR');
  });

  it('has a page at / that the content policy lets run: nothing inline, nothing from elsewhere', async () => {
    const { url } = await startAdmin(fakeSource());
    const { status, body } = await ask(url, '/');
    expect(status).toBe(200);
    expect(body).not.toMatch(
      /<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=|https?:\/\/(?!www\.w3\.org)/i,
    );
    for (const [, path] of body.matchAll(/(?:src|href)="(?!data:)([^"#]+)"/g)) {
      expect((await ask(url, `/${path?.replace(/^\.?\//, '')}`)).status, path).toBe(200);
    }
  });
});

describe('a Unix socket', () => {
  it('is the owner’s alone, answers, and is gone after the stop', async () => {
    const path = join(temporaryFolder(), 'a.sock');
    const { admin, url } = await startAdmin(fakeSource(), { listen: path });
    expect(url).toBe(`unix:${path}`);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await ask(url, '/livez', { headers: { Host: 'anything' } })).toMatchObject({ status: 200 });
    await admin.close();
    expect(existsSync(path)).toBe(false);
  });

  it('replaces what a killed process left, but not a socket that is answered', async () => {
    const path = join(temporaryFolder(), 'a.sock');
    const script = `net.createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    await new Child(process.execPath, ['--eval', script]).untilEnded();
    expect(existsSync(path)).toBe(true);
    const { url } = await startAdmin(fakeSource(), { listen: path });
    await expect(createAdmin(fakeSource(), { listen: path }).listen()).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    expect((await ask(url, '/livez')).status).toBe(200);
  });

  it('leaves a socket whose backlog is full', async () => {
    const path = join(temporaryFolder(), 'a.sock');
    const fd = bindUnix(SOCK_STREAM, path);
    expect(libc.listen(fd, 0)).toBe(0); // nobody accepts
    const waiting: Socket[] = [];
    onTestFinished(() => waiting.forEach((socket) => void socket.destroy()));
    const isFull = async () => {
      const socket = connect({ path });
      waiting.push(socket);
      const [result] = await Promise.race([
        once(socket, 'connect').then(() => ['taken']),
        once(socket, 'close').then(() => ['refused']),
      ]).catch(({ code }: NodeJS.ErrnoException) => [code]);
      return result === 'EAGAIN';
    };
    await until(isFull, 'the backlog to be full');
    await expect(createAdmin(fakeSource(), { listen: path }).listen()).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    expect(existsSync(path)).toBe(true);
  });

  it('leaves a socket of another kind, and says what it met', async () => {
    const path = join(temporaryFolder(), 'a.sock');
    bindUnix(SOCK_DGRAM, path);
    const child = runBin(['--port', '0', '--no-pretty', '--admin', path]);
    expect(await child.untilEnded()).toEqual({ code: 3, signal: null });
    expect(child.stdout).toBe('');
    expect(child.stderr).toBe(`kecho-pool: cannot listen on --admin ${path}: connect EPROTOTYPE ${path}\n`);
    expect(existsSync(path)).toBe(true);
  });

  it('never removes a file that is none', async () => {
    const path = join(temporaryFolder(), 'precious');
    writeFileSync(path, 'content');
    chmodSync(path, 0o644);
    await expect(createAdmin(fakeSource(), { listen: path }).listen()).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
    expect(readFileSync(path, 'utf8')).toBe('content');
    expect(statSync(path).mode & 0o777).toBe(0o644);
  });
});

describe('the command', () => {
  it('says where it listens, answers, and stops in order under open streams and idle connections', async () => {
    const { child, port } = await startBin(['--admin', '0']);
    const { url } = (await child.line('admin')) as unknown as { url: string };
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/$/);
    expect(child.lines.findIndex(({ msg }) => msg === 'admin')).toBeLessThan(
      child.lines.findIndex(({ msg }) => msg === 'listening'),
    );
    await (await connectTo(port)).echo('hello');
    const reader = await watch(url);
    await reader.untilFrames(1);
    const idle = await connectTo(Number(new URL(url).port));
    idle.send('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await idle.untilAvailable(10);
    await connectTo(Number(new URL(url).port)); // says nothing
    const asked = [...reader.named('status')].length;
    child.signal('SIGTERM');
    await until(
      () => reader.statuses().some(({ stats }) => stats.state === 'draining'),
      'the drain to be seen',
    );
    expect(await ask(url, '/readyz')).toMatchObject({ status: 503, body: 'draining\n' });
    await until(() => {
      child.signal('SIGINT'); // cuts the connection; one that comes right after the first signal does not count
      return child.ended !== null;
    }, 'the end of the process');
    expect(child.ended).toEqual({ code: 4, signal: null });
    await until(() => reader.ended, 'the end of the stream');
    expect(reader.statuses().length).toBeGreaterThan(asked);
    expect(reader.statuses().at(-1)?.stats).toMatchObject({
      state: 'stopped',
      connections: { closed: { cut: 1 } },
    });
    expect(child.stderr).toBe('');
  });

  it('a signal while the server starts stops it: exit 0, no complaint', async () => {
    const child = runBin(['--port', '0', '--no-pretty', '--admin', '0']);
    await child.line('admin'); // the threads are started after it
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
    expect(child.stderr).toBe('');
  });

  it('exits 3 with one line when it cannot bind, and starts nothing', async () => {
    const { port } = await startAdmin(fakeSource());
    const cases = [
      [`127.0.0.1:${port}`, 'EADDRINUSE'],
      ['/nonexistent/a.sock', 'there is no such folder'],
      ['192.0.2.1:0', 'EADDRNOTAVAIL'],
    ] as const;
    for (const [where, why] of cases) {
      const child = runBin(['--port', '0', '--no-pretty', '--admin', where]);
      expect(await child.untilEnded()).toEqual({ code: 3, signal: null });
      expect(child.stdout).toBe('');
      expect(child.stderr).toMatch(/^kecho-pool: cannot listen on --admin [^\n]+\n$/);
      expect(child.stderr).toContain(`${where}: `);
      expect(child.stderr).toContain(why);
    }
  });

  it('exits 3 when the echo port is taken, and leaves no socket behind', async () => {
    const { port } = await startServer({});
    const path = join(temporaryFolder(), 'a.sock');
    const child = runBin(['--port', String(port), '--no-pretty', '--admin', path]);
    expect(await child.untilEnded()).toEqual({ code: 3, signal: null });
    expect(child.stderr).toContain(`port ${port}`);
    expect(existsSync(path)).toBe(false);
  });

  it('exits 2 for a place that is none, by flag and by environment', async () => {
    const flag = runBin(['--admin', 'nowhere']);
    expect(await flag.untilEnded()).toEqual({ code: 2, signal: null });
    expect(flag.stderr).toMatch(/^kecho-pool: --admin: "nowhere" is not allowed: a port like 9090[^\n]+\n$/);
    const variable = runBin([], { env: { KECHO_POOL_ADMIN: '70000' } });
    expect(await variable.untilEnded()).toEqual({ code: 2, signal: null });
    expect(variable.stderr).toContain('KECHO_POOL_ADMIN: "70000"');
  });

  it('keeps descriptors for it: it answers while the echo port refuses', async () => {
    const script = `ulimit -n 256 && exec "$0" "$@"`;
    const args = ['--port', '0', '--no-pretty', '--strategy', 'workqueue', '--workers', '2', '--admin', '0'];
    const child = new Child('sh', ['-c', script, process.execPath, BIN, ...args]);
    const listening = await child.line('listening');
    const { url } = (await child.line('admin')) as unknown as { url: string };
    const { maxConnections, reserve } = listening.limits as { maxConnections: number; reserve: number };
    expect(reserve).toBe(64 + 72 + 2 * 8);
    expect(maxConnections).toBe(256 - reserve);
    const port = Number(listening.port);
    const attempts = Array.from({ length: maxConnections + 20 }, () => connectTo(port).catch(() => null));
    await Promise.all(attempts);
    const statuses = await Promise.all(Array.from({ length: 32 }, () => ask(url, '/status.json')));
    for (const { status } of statuses) expect(status).toBe(200);
    const { stats } = JSON.parse((await ask(url, '/status.json')).body) as ServerStatus;
    expect(stats.connections.active).toBe(maxConnections);
    expect(stats.connections.refused.maxConnections).toBe(20);
    expect(stats.connections.refused.descriptors).toBe(0);
    expect(child.linesSaying('accepting pauses: clients wait in the backlog')).toEqual([]);
  });
});
