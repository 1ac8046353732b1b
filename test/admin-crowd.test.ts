/**
 * Goal: clients that poll the admin endpoint cost the echo service little: one snapshot serves all requests within
 * 100 ms, figures are never older than that, and the event loop turns between any two responses.
 * Method: an endpoint in this process with a fake status that counts its snapshots; the test's own clock, and a counter
 * of event loop turns.
 */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createAdmin } from '../src/admin/index.ts';
import { Turnstile } from '../src/admin/snapshots.ts';
import { ask, fakeSource, sampleOf, startAdmin, watch } from './support/admin.ts';
import { parseMetrics } from './support/metrics.ts';

/** Stops performance.now(); pass() advances it. */
function stopClock(): { pass: (ms: number) => void } {
  let nowMs = Math.ceil(performance.now()); // whole, so that sums and differences are exact
  const now = vi.spyOn(performance, 'now').mockImplementation(() => nowMs);
  onTestFinished(() => now.mockRestore());
  return {
    pass: (ms) => {
      nowMs += ms;
    },
  };
}

/** An endpoint as the command creates it. */
async function start() {
  const source = fakeSource();
  const admin = createAdmin(source);
  onTestFinished(() => admin.close());
  const { url } = await admin.listen();
  source.asked = 0;
  return { source, admin, url };
}

describe('figures', () => {
  it('are taken once for all requests within 100 ms, on any path', async () => {
    const clock = stopClock();
    const { source, url } = await start();
    const paths = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? '/metrics' : '/status.json'));
    const bodies = (await Promise.all(paths.map((path) => ask(url, path)))).map(({ body }) => body);
    expect(new Set(bodies).size).toBe(2);
    expect(source.asked).toBe(1);
    clock.pass(99);
    await ask(url, '/metrics');
    expect(source.asked).toBe(1);
    clock.pass(1);
    await ask(url, '/status.json');
    expect(source.asked).toBe(2);
  });

  it('are current in a later request', async () => {
    const clock = stopClock();
    const { source, url } = await start();
    const { stats } = source.status(); // shared with what is served
    const echoes = async () =>
      sampleOf(parseMetrics((await ask(url, '/metrics')).body), 'echoes_total') ?? Number.NaN;
    for (let wanted = 0; wanted < 1000; wanted += 333) {
      stats.echoes = wanted;
      clock.pass(100);
      expect(await echoes()).toBe(wanted);
    }
  });

  it('are those of the last frame while a watcher is connected', async () => {
    stopClock();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }); // the test triggers the next frame
    onTestFinished(() => void vi.useRealTimers());
    const { source, url } = await start();
    const { stats } = source.status(); // shared with what is served
    const reader = await watch(url);
    for (let frames = 1; frames <= 3; frames++) {
      await reader.untilFrames(frames);
      expect((await ask(url, '/status.json')).body).toBe(reader.named('status').at(-1)?.data);
      stats.echoes++;
      source.asked = 0;
      vi.advanceTimersToNextTimer();
    }
    expect(source.asked).toBe(1); // by the frame only
  });
});

describe('answers', () => {
  it('are made one per turn of the event loop', async () => {
    let turn = 0;
    let over = false;
    const count = () => {
      turn++;
      if (!over) setImmediate(count);
    };
    onTestFinished(() => {
      over = true;
    });
    count();
    const source = fakeSource();
    const { status } = source;
    const turns: number[] = [];
    source.status = () => {
      turns.push(turn);
      return status();
    };
    const { url } = await startAdmin(source);
    const paths = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? '/metrics' : '/status.json'));
    await Promise.all(paths.map((path) => ask(url, path)));
    expect(turns).toHaveLength(40);
    expect(new Set(turns).size).toBe(40);
  });

  it('are sent in the order of the requests', async () => {
    const turnstile = new Turnstile();
    const passed: number[] = [];
    await Promise.all([0, 1, 2, 3].map((i) => turnstile.pass().then(() => passed.push(i))));
    expect(passed).toEqual([0, 1, 2, 3]);
  });
});
