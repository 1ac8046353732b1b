/**
 * Goal: the event stream is bounded and exact: frames have the requested rate, one snapshot serves all watchers, a slow
 * reader loses frames and uses no memory, a stream ends with the endpoint, there is no work without watchers, and the
 * endpoint survives a failing status.
 * Method: endpoints with their HTTP server in the test's thread and a fake status, small or of 1 MiB, and clients of /events that read, stall,
 * exceed the limit, or come from other sites; a browser's EventSource in a child process.
 */
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { freePort } from '../bench/free-port.ts';
import { Snapshot, Snapshots } from '../src/admin/snapshots.ts';
import { isDue, MAX_WATCHERS, Watchers } from '../src/admin/watchers.ts';
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
import { Child } from './support/child.ts';
import { expectForm } from './support/form.ts';
import { until } from './support/wait.ts';

describe('events', () => {
  it('have the documented form; the first comes at once', async () => {
    const source = fakeSource();
    const { url } = await startAdmin(source);
    const reader = await watch(url, '?hz=10');
    const headers = reader.response.headers;
    expect(headers['content-type']).toBe('text/event-stream; charset=utf-8');
    expect(headers['cache-control']).toBe('no-store');
    expect(headers['x-accel-buffering']).toBe('no');
    await reader.untilFrames(3);
    expect(reader.events.map(({ event, id }) => [event, id]).slice(0, 3)).toEqual([
      ['status', '1'],
      ['status', '2'],
      ['status', '3'],
    ]);
    for (const status of reader.statuses()) expectForm(ServerStatus, status);
    for (const bad of ['0', '11', '-1', '1.5', '010', 'x', '']) {
      expect((await ask(url, `/events?hz=${bad}`)).status, bad).toBe(400);
    }
  });

  it('have the exact rate, evenly spread', () => {
    for (let hz = 1; hz <= 10; hz++) {
      const due = Array.from({ length: 1000 }, (_, tick) => isDue(tick, hz));
      expect(due.filter(Boolean).length).toBe(hz * 100);
      const gaps = due
        .flatMap((isNow, tick) => (isNow ? [tick] : []))
        .map((t, i, all) => t - (all[i - 1] ?? t));
      expect(Math.max(...gaps.slice(1)) - Math.min(...gaps.slice(1))).toBeLessThanOrEqual(1);
    }
  });

  it('share one snapshot among all watchers', async () => {
    const source = fakeSource();
    const { url, admin } = await startEndpoint(source);
    source.asked = 0;
    const readers = await Promise.all(Array.from({ length: 8 }, () => watch(url)));
    await Promise.all(readers.map((reader) => reader.untilFrames(5)));
    expect(source.asked).toBe(admin.watchers.frames.made);
    expect(admin.watchers.frames.sent).toBeGreaterThanOrEqual(8 * 5);
    expect(admin.watchers.frames.made).toBeLessThan(admin.watchers.frames.sent / 2);
    const ids = readers.map((reader) => reader.events.map(({ id }) => id).slice(1, 5));
    expect(new Set(ids.flat()).size).toBeLessThan(ids.flat().length / 2); // the same frames
  });

  it('accept 16 watchers, and another when one has left', async () => {
    const { url, admin } = await startEndpoint(fakeSource());
    const readers = [];
    for (let i = 0; i < MAX_WATCHERS; i++) readers.push(await watch(url, '?hz=1'));
    expect(await ask(url, '/events')).toMatchObject({ status: 503, headers: { 'retry-after': '5' } });
    expect(sampleOf(await metricsOf(url), 'admin_watchers')).toBe(16);
    readers[3]?.response.destroy();
    await until(() => admin.watchers.size === MAX_WATCHERS - 1, 'one to be gone');
    await (await watch(url)).untilFrames(1);
  });

  it('refuse pages of other sites', async () => {
    const { url, admin } = await startEndpoint(fakeSource());
    for (const site of ['cross-site', 'same-site']) {
      expect((await ask(url, '/events', { headers: { 'Sec-Fetch-Site': site } })).status).toBe(403);
    }
    const own = await open(url, '/events', { headers: { 'Sec-Fetch-Site': 'same-origin' } });
    expect(own.statusCode).toBe(200);
    own.destroy();
    expect((await ask(url, '/events', { method: 'HEAD' })).status).toBe(200);
    await until(() => admin.watchers.size === 0, 'no watcher');
  });

  it('drop and count frames of a slow reader, without using memory; other readers lose none', async () => {
    // The test triggers the next tick once the fast reader has taken the last frame.
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => {
      vi.useRealTimers();
    });
    const frameBytes = 2 ** 20;
    const { url, admin } = await startEndpoint(fakeSource(frameBytes));
    const [slow, fast] = [await watch(url), await watch(url)];
    await slow.stopReading();
    await fast.untilFrames(1);
    const fastHasAll = () => admin.watchers.waitingBytes[1] === 0; // in order of connection
    const tick = async () => {
      await until(fastHasAll, 'the fast reader to be ready');
      const { length } = fast.named('status');
      vi.advanceTimersToNextTimer();
      await fast.untilFrames(length + 1);
    };
    const lost = () => admin.watchers.frames.lost;
    while (lost() < 3) await tick();
    for (let more = 0; more < 3; more++) await tick();
    expect(Math.max(...admin.watchers.waitingBytes)).toBeLessThan(1.1 * frameBytes);
    expect(fast.named('lost')).toEqual([]);
    const metrics = await metricsOf(url);
    expect(sampleOf(metrics, 'admin_frames_lost_total')).toBeGreaterThanOrEqual(3);
    slow.response.socket.resume();
    await until(async () => {
      await tick();
      return slow.named('lost').length > 0;
    }, 'the slow reader to be notified');
    const reported = JSON.parse(slow.named('lost')[0]?.data ?? '') as { frames: number };
    expect(reported.frames).toBeGreaterThanOrEqual(3);
    expect(reported.frames).toBeLessThanOrEqual(lost());
    const ids = slow.named('status').map(({ id }) => Number(id));
    expect(ids).toEqual([...ids].sort((a, b) => a - b));
  });

  it('cut a reader that takes nothing', async () => {
    const { url, admin } = await startEndpoint(fakeSource(2 ** 20), { timeouts: { stalledMs: 2500 } });
    const [stalled, reading] = [await watch(url), await watch(url)];
    await stalled.stopReading();
    await until(() => admin.watchers.size === 1, 'the stalled one to be cut');
    await reading.untilFrames(reading.events.length + 2);
    expect(reading.ended).toBe(false);
  });

  it('let a browser reconnect after a restart', async () => {
    const source = fakeSource();
    const first = await startEndpoint(source, { listen: String(freePort()) }); // no other program takes it meanwhile
    const script =
      `setInterval(() => {}, 1000); const s = new EventSource('${first.url}events');` +
      `s.onopen = () => console.log(JSON.stringify({msg: 'open'}));` +
      `s.addEventListener('status', (e) => console.log(JSON.stringify({msg: 'status', id: e.lastEventId})));`;
    const child = new Child(process.execPath, ['--experimental-eventsource', '--eval', script]);
    await child.line('status');
    await first.admin.close();
    await startEndpoint(source, { listen: String(first.port) });
    await child.line('open', 1);
    const seen = child.linesSaying('status').length;
    await child.line('status', seen);
  });

  it('end with a last frame when the endpoint closes', async () => {
    const source = fakeSource();
    const { url, admin } = await startAdmin(source);
    const reader = await watch(url, '?hz=1');
    await reader.untilFrames(1);
    await admin.close();
    await until(() => reader.ended, 'the end of the stream');
    expect(reader.named('status').length).toBeGreaterThanOrEqual(2);
    expect(reader.text).toBe(''); // no partial frame
  });
});

describe('without watchers', () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it('has no timer and takes no snapshot', async () => {
    vi.useFakeTimers();
    const source = fakeSource();
    const snapshots = new Snapshots(async () => new Snapshot(source.status(), async () => ''), 0);
    const watchers = new Watchers(snapshots, (error) => expect.unreachable(error.message));
    expect(vi.getTimerCount()).toBe(0);
    const response = new FakeResponse();
    await watchers.add(response as never, 2);
    await vi.advanceTimersByTimeAsync(3000);
    expect(source.asked).toBe(1 + 6);
    expect(response.written.length).toBe(1 + 6);
    response.closed();
    expect(vi.getTimerCount()).toBe(0);
    await vi.advanceTimersByTimeAsync(10_000);
    expect(source.asked).toBe(1 + 6);
  });
});

/** The part of a ServerResponse that Watchers uses; writes complete at once. */
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
  it('ends the streams and is logged; the endpoint continues', async () => {
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
