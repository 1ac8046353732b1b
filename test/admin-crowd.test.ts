/**
 * Goal: whoever asks the admin endpoint in a loop costs the echo service little: figures are taken once for all who ask
 * within 100 ms, are never older than that, and the event loop turns between any two answers.
 * Method: an endpoint in this process before a made-up status that counts how often it is taken; a clock of the test,
 * and a counter of the turns of the event loop.
 */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { createAdmin } from '../src/admin/index.ts';
import { Turnstile } from '../src/admin/snapshots.ts';
import { ask, fakeSource, sampleOf, startAdmin, watch } from './support/admin.ts';
import { parseMetrics } from './support/metrics.ts';

/** performance.now() stands still until it is moved. */
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

/** An endpoint as the command makes it. */
async function start() {
  const source = fakeSource();
  const admin = createAdmin(source);
  onTestFinished(() => admin.close());
  const { url } = await admin.listen();
  source.asked = 0;
  return { source, admin, url };
}

describe('figures', () => {
  it('are taken once for all who ask within 100 ms, by whatever path', async () => {
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

  it('are exact for who asks again later', async () => {
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

  it('are those of the last frame while somebody watches', async () => {
    stopClock();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] }); // the next frame comes when the test says so
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
    expect(source.asked).toBe(1); // by the frame alone
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

  it('wait for their turn in the order in which they were asked for', async () => {
    const turnstile = new Turnstile();
    const passed: number[] = [];
    await Promise.all([0, 1, 2, 3].map((i) => turnstile.pass().then(() => passed.push(i))));
    expect(passed).toEqual([0, 1, 2, 3]);
  });
});
