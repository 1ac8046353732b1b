/**
 * Goal: the admin endpoint publishes the server's figures, as JSON that matches the schema and as exact metrics, which
 * never fall and have a bounded number of series.
 * Method: endpoints for real servers, or for a fake status where a real server cannot reach the needed size. Every
 * response is checked by a reader of its format: the JSON schema, a strict metrics parser, and promtool and Prometheus
 * where installed.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePort } from '../bench/free-port.ts';
import { publishedSchema } from '../src/schema/json.ts';
import { type ServerStats, ServerStatus } from '../src/schema/status.ts';
import { ask, fakeSource, metricsOf, sampleOf, startAdmin } from './support/admin.ts';
import { Child } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { expectForm } from './support/form.ts';
import type { Metric } from './support/metrics.ts';
import { hasCommand } from './support/process.ts';
import { STRATEGIES, startServer, untilActive } from './support/server.ts';
import { until } from './support/wait.ts';

/** No counter is about to change. */
function isSteady({ strategy, items, workers, connections }: ServerStats): boolean {
  const inItems = strategy === 'cmwq' ? 0 : connections.active - connections.queued; // otherwise a connection is an item
  return workers.starting === 0 && items.started - items.completed === inItems;
}

describe.each(STRATEGIES)('%s: figures', (strategy) => {
  const options = strategy === 'workqueue' ? { workers: 2 } : {};

  it('are the server’s own, and match the published schema', async () => {
    const { server, port } = await startServer({ strategy, service: ['sleep:5ms', 'burn:1ms'], ...options });
    const { url } = await startAdmin(server);
    expect((await ask(url, '/status.schema.json')).body).toBe(publishedSchema(ServerStatus));
    const clients = [await connectTo(port), await connectTo(port)];
    for (const client of clients) await client.echo('twelve bytes');
    await until(() => server.stats().echoes === 2, 'the echoes to be counted');
    clients[1]?.send('x'); // an item may be in progress during the snapshot
    const { status, headers, body } = await ask(url, '/status.json');
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/json');
    const found = JSON.parse(body) as ServerStatus;
    expectForm(ServerStatus, found);
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
    expect(sampleOf(await metricsOf(url), 'echoes_total')).toBe(0);
    const clients = [await connectTo(port), await connectTo(port)];
    for (let i = 0; i < 100; i++) await clients[i % 2]?.echo('ten bytes.');
    const refused = await connectTo(port).catch(() => null); // may be reset during connect()
    await refused?.untilClosed();
    await clients[0]?.quit();
    await untilActive(server, 1);
    const { limits } = server;
    // Under kthread a thread ends shortly after its work; sent bytes are counted after the send.
    const isAtRest = (now: ServerStats) => isSteady(now) && now.bytesOut === now.bytesIn;
    await until(() => isAtRest(server.stats()), 'the pool to come to rest');
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
      expect(sampleOf(metrics, sample), sample).toBe(wanted);
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
  it('have cumulative histograms', async () => {
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
    const { samples } = (await metricsOf(url)).get('kecho_pool_dispatch_latency_seconds') as Metric; // always present
    const name = 'kecho_pool_dispatch_latency_seconds';
    expect(Object.fromEntries(samples)).toEqual({
      [`${name}_bucket{le="0.000001"}`]: 3,
      [`${name}_bucket{le="0.5"}`]: 3,
      [`${name}_bucket{le="+Inf"}`]: 7,
      [`${name}_sum`]: 12.25,
      [`${name}_count`]: 7,
    });
  });

  it('count a connection refused after admission once as accepted', async () => {
    const source = fakeSource();
    const { connections } = source.status().stats; // shared with what is served
    connections.accepted = 5;
    connections.refused.queueAge = 1;
    const { url } = await startAdmin(source);
    expect(sampleOf(await metricsOf(url), 'connections_accepted_total')).toBe(5);
  });

  it('have a bounded number of series', async () => {
    const source = fakeSource();
    const { stats } = source.status(); // shared with what is served
    stats.cpuPools = Array.from({ length: 256 }, () => ({
      connections: 1,
      nrRunning: 1,
      nrActive: 1,
      slot: 7,
      cpuTimeMs: 7,
      movedIn: 7,
      movedOut: 7,
    }));
    const { url } = await startAdmin(source);
    const metrics = await metricsOf(url);
    const sizes = [...metrics.values()].map(({ samples }) => samples.size);
    expect(Math.max(...sizes)).toBe(256);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(7 * 256 + 200);
  });

  it.skipIf(!hasCommand('promtool'))('pass promtool (skipped without promtool)', async () => {
    const { server } = await startServer({});
    const { url } = await startAdmin(server);
    const child = new Child('promtool', ['check', 'metrics']);
    child.process.stdin?.end((await ask(url, '/metrics')).body);
    const ended = await child.untilEnded();
    expect(child.stdout + child.stderr).toBe('');
    expect(ended).toEqual({ code: 0, signal: null });
  });

  it.skipIf(!hasCommand('prometheus'))('are scraped by Prometheus (skipped without prometheus)', async () => {
    const { server, port } = await startServer({});
    const { url } = await startAdmin(server);
    await (await connectTo(port)).echo('counted');
    const folder = temporaryFolder();
    const config = join(folder, 'prometheus.yml');
    const free = freePort();
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
        () => null, // not listening yet
      );
      const { data } = JSON.parse(answer?.status === 200 ? answer.body : '{}') as {
        data?: { result: { value: [number, string] }[] };
      };
      return data?.result[0]?.value[1];
    };
    await until(async () => (await query()) === '1', 'a scrape');
    child.signal('SIGTERM');
    await child.untilEnded();
  });
});
