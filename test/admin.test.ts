/**
 * Goal: the admin endpoint reports liveness and readiness, serves its files only, survives a failed accept(), and
 * closes without waiting for clients.
 * Method: endpoints in this process for a real server, or for a fake status where a real server cannot be brought into
 * the needed state.
 */
import { existsSync, writeFileSync } from 'node:fs';
import type { Server as HttpServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createAdmin } from '../src/admin/index.ts';
import { createEchoServer } from '../src/index.ts';
import { ServerStatus } from '../src/schema/status.ts';
import {
  ask,
  fakeSource,
  metricsOf,
  open,
  sampleOf,
  startAdmin,
  startEndpoint,
  watch,
} from './support/admin.ts';
import { connectTo } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { expectForm } from './support/form.ts';
import { until, within } from './support/wait.ts';

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
    expectForm(ServerStatus, JSON.parse((await ask(url, '/status.json')).body));
  });

  it('is not ready while the server starts', async () => {
    const { url } = await startAdmin(fakeSource());
    expect(await ask(url, '/readyz')).toMatchObject({ status: 503, body: 'starting\n' });
  });
});

it('is not ready while the server cannot serve, and gives the reason', async () => {
  const source = fakeSource();
  source.notReadyReason = 'listening socket lost';
  const { url } = await startAdmin(source);
  source.asked = 0;
  expect(await ask(url, '/readyz')).toMatchObject({ status: 503, body: 'listening socket lost\n' });
  expect(source.asked).toBe(0); // no snapshot needed
});

it('reports a failed accept and continues', async () => {
  const errors: object[] = [];
  const onError = (error: Error, what: string) => errors.push({ error, what });
  const { endpoint, url } = await startEndpoint(fakeSource(), { onError });
  const error = Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' });
  (endpoint as unknown as { http: HttpServer }).http.emit('error', error); // as node:net reports it
  expect(errors).toEqual([{ error, what: 'admin endpoint failed to accept a connection' }]);
  expect((await ask(url, '/livez')).status).toBe(200);
});

describe('closing', () => {
  it('does not wait for clients: silent, in mid-request, or not reading', async () => {
    const hourMs = 3_600_000;
    const timeouts = { headersMs: hourMs, requestMs: hourMs, keepAliveMs: hourMs, stalledMs: hourMs };
    const { admin, url, port } = await startAdmin(fakeSource(2 ** 20), { timeouts });
    const stalled = await watch(url);
    await stalled.stopReading();
    const lost = async () => sampleOf(await metricsOf(url), 'admin_frames_lost_total');
    await until(async () => ((await lost()) ?? 0) > 0, 'frames to be lost');
    const silent = await connectTo(port);
    const halfway = await connectTo(port, { first: Buffer.from('GET /livez HTTP/1.1\r\nHost: loc') });
    await until(async () => (await ask(url, '/livez')).status === 200, 'earlier connections to be accepted');
    await within(admin.close(), 'the end');
    await Promise.all([silent.untilOver(), halfway.untilOver()]);
  });

  it('happens at the end of the scope with `await using`', async () => {
    const listen = join(temporaryFolder(), 'a.sock'); // another program may take the number of a port
    let url: string;
    {
      await using admin = createAdmin(fakeSource(), { listen });
      ({ url } = await admin.listen());
      expect((await ask(url, '/livez')).status).toBe(200);
    }
    await expect(ask(url, '/livez')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('during the start cancels the start', async () => {
    for (const listen of ['0', join(temporaryFolder(), 'a.sock')]) {
      const admin = createAdmin(fakeSource(), { listen });
      const listening = admin.listen();
      await Promise.all([admin.close(), expect(listening).rejects.toThrow('was closed while it started')]);
      await expect(admin.listen()).rejects.toThrow('was closed');
      expect(existsSync(listen)).toBe(false);
    }
  });
});

describe('files', () => {
  it('serves the dashboard folder as of the start, and nothing else', async () => {
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

  it('lists the paths at / without a dashboard, and each of them answers', async () => {
    const nowhere = pathToFileURL(`${join(temporaryFolder(), 'nowhere')}/`);
    const { url } = await startAdmin(fakeSource(), { dashboard: nowhere });
    const { status, body } = await ask(url, '/');
    expect([status, body.split('\n')[0]]).toEqual([200, '/livez']);
    for (const path of body.trimEnd().split('\n')) {
      const response = await open(url, path);
      response.destroy();
      expect(response.statusCode, path).toBe(path === '/readyz' ? 503 : 200); // starting
    }
  });

  it('throws at the start when the dashboard cannot be read', () => {
    const dashboard = new URL('./', pathToFileURL(`${import.meta.filename}/`)); // a file, not a folder
    expect(() => createAdmin(fakeSource(), { dashboard })).toThrow('ENOTDIR');
  });

  it('serves a page at / that its content policy allows: nothing inline, nothing cross-origin', async () => {
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
