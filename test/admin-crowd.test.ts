/**
 * Goal: clients that poll the admin endpoint cost main little: one snapshot serves all requests within 100 ms, and
 * figures are never older than that.
 * Method: the endpoint's HTTP server in the test's thread, with a fake status that counts its snapshots and the test's
 * own clock; and an endpoint with its thread.
 */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { ask, fakeSource, sampleOf, startAdmin, startEndpoint, watch } from './support/admin.ts';
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

/** With the age that the command has. */
async function start() {
  const source = fakeSource();
  const { admin, url } = await startEndpoint(source, { snapshotAgeMs: 100 });
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

it('asks main once per 100 ms at most, for clients that poll in a loop', async () => {
  const source = fakeSource();
  const { url } = await startAdmin(source, { snapshotAgeMs: 100 });
  source.asked = 0;
  const startMs = performance.now();
  await Promise.all(
    Array.from({ length: 16 }, async (_, i) => {
      for (let round = 0; round < 20; round++) await ask(url, i % 2 === 0 ? '/metrics' : '/status.json');
    }),
  );
  expect(source.asked).toBeGreaterThan(0);
  expect(source.asked).toBeLessThanOrEqual(1 + (performance.now() - startMs) / 100);
});
