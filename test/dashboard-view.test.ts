/**
 * Goal: the dashboard draws the right figures, percentiles and hand-offs, caps what it draws, treats text as text, does
 * not grow with time, and is readable in both colour schemes and at any width.
 * Method: a real Chromium with pages of a server on a virtual clock, for tests that take long or must be exact. Every
 * test ends with: no console message, no violation of the content security policy, no request to another origin.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { readStaticFiles } from '../src/admin/files.ts';
import type { HandOff, State, StepKind } from '../src/admin/hand-off.ts';
import { recordedPage } from '../src/admin/recorded-page.ts';
import type { ServerStatus } from '../src/schema/status.ts';
import { CHROMIUM, hasChromium } from './support/browser.ts';
import { listen, quietPage, showFrame, text, useBrowser, virtualPage } from './support/dashboard.ts';
import { FULL } from './support/size.ts';
import { VirtualServer } from './support/virtual-server.ts';
import { until } from './support/wait.ts';

const FRAME_MS = 100;

describe.skipIf(!hasChromium)(`the dashboard in a browser (skipped without ${CHROMIUM})`, () => {
  useBrowser();

  describe('the figures', () => {
    it('are differences of counters, and a restart makes no spike', async () => {
      const virtual = new VirtualServer();
      const { page } = await virtualPage(virtual);
      await page.locator('#pause').click();
      const rateShown = async () =>
        Number((await page.locator('#chart-echoes .value').textContent())?.replace(',', ''));
      for (let frame = 0; frame < 15; frame++) {
        virtual.advance(FRAME_MS);
        await showFrame(
          page,
          { ...virtual.status(), uptimeMs: 10_000 + virtual.uptimeMs },
          10_000 + virtual.uptimeMs,
        );
      }
      expect(await rateShown()).toBeGreaterThan(800);
      expect(await rateShown()).toBeLessThan(1200);
      virtual.restart();
      virtual.advance(FRAME_MS);
      await showFrame(page, virtual.status(), 20_000);
      expect(await page.locator('#chart-echoes .value').textContent()).toBe('–');
      virtual.advance(FRAME_MS);
      await showFrame(page, virtual.status(), 20_100);
      expect(await rateShown()).toBeGreaterThan(800);
      expect(await rateShown()).toBeLessThan(1200);
    });

    it('give percentiles as bucket bounds of the new samples', async () => {
      const virtual = new VirtualServer();
      const { page } = await virtualPage(virtual);
      await page.locator('#pause').click();
      const status = virtual.status();
      const withEchoes = (uptimeMs: number, counts: Record<number, number>): ServerStatus => {
        const histogram = { ...status.latency.echo, counts: [...status.latency.echo.counts] };
        for (const [bucket, more] of Object.entries(counts)) {
          histogram.counts[Number(bucket)] = (histogram.counts[Number(bucket)] ?? 0) + more;
        }
        return { ...status, uptimeMs, latency: { ...status.latency, echo: histogram } };
      };
      await showFrame(page, withEchoes(50_000, {}));
      await showFrame(page, withEchoes(50_100, { 4: 60, 10: 39, 14: 1 }));
      const key = page.locator('#chart-echo-time .key b');
      expect(await key.allTextContents()).toEqual(['16 µs', '1.02 ms', '16.4 ms']);
      await text(page, '#chart-echo-time .value', '≤ 16 µs');
      await showFrame(page, withEchoes(56_000, { 4: 60, 10: 39, 14: 1, 25: 1 })); // beyond the last bound
      expect(await key.allTextContents()).toEqual(['–', '–', '–']); // after a gap: no difference
      await showFrame(page, withEchoes(56_100, { 4: 60, 10: 39, 14: 1, 25: 2 }));
      expect(await key.allTextContents()).toEqual(['more', 'more', 'more']);
      await text(page, '#chart-echo-time .value', 'more');
    });

    it('move the ring to the cell of the new holder at a hand-off', async () => {
      const { page } = await virtualPage(new VirtualServer({ pools: 1 }));
      await page.locator('#pause').click();
      const status = new VirtualServer({ pools: 1 }).status();
      const held = (slot: number, uptimeMs: number): ServerStatus => ({
        ...status,
        uptimeMs,
        stats: {
          ...status.stats,
          cpuPools: [
            { connections: 2, nrRunning: 1, nrActive: 2, slot, cpuTimeMs: 7, movedIn: 5, movedOut: 4 },
          ],
        },
      });
      const offset = async () => {
        const ring = await page.locator('.ring').first().boundingBox();
        const cells = await page.locator('#cells > .cell').all();
        const boxes = await Promise.all(cells.map((cell) => cell.boundingBox()));
        const middle = (box: typeof ring) =>
          box === null ? '' : [box.x + box.width / 2, box.y + box.height / 2].map(Math.round).join();
        return boxes.map(middle).indexOf(middle(ring)) + 1;
      };
      await showFrame(page, held(3, 60_000));
      await until(async () => (await offset()) === 3, 'the ring around worker 3');
      await showFrame(page, held(11, 60_100));
      await until(async () => (await offset()) === 11, 'the ring around worker 11');
      expect(await page.locator('.arcs path').first().getAttribute('d')).toMatch(/^M[\d.]+ [\d.]+V[\d.]+Q/);
      await text(page, '#lanes .holder', 'w11');
      await text(page, '#last-hand-off', 'last hand-off seen: w3 → w11, pool 0');
      const arc = await page.locator('.arcs path').first().getAttribute('d');
      await page.emulateMedia({ reducedMotion: 'reduce' });
      await showFrame(page, held(3, 60_200));
      await until(async () => (await offset()) === 3, 'the ring around worker 3');
      expect(await page.locator('.arcs path').first().getAttribute('d')).toBe(arc);
    });

    it('continue across a change of the strategy, with a mark', async () => {
      const { page } = await virtualPage(new VirtualServer());
      await page.locator('#pause').click();
      const frames = async (strategy: 'workqueue' | 'cmwq', fromMs: number, startMs: number) => {
        const virtual = new VirtualServer({ strategy });
        for (let frame = 0; frame < 12; frame++) {
          virtual.advance(FRAME_MS);
          const status = { ...virtual.status(), pid: 77, uptimeMs: startMs + frame * FRAME_MS };
          await showFrame(page, status, fromMs + frame * FRAME_MS);
        }
      };
      await frames('workqueue', 50_000, 5000);
      const marks = page.locator('#chart-echoes .mark-label:not([hidden])');
      const before = await marks.count(); // by this frame's server, after the stream's
      await frames('cmwq', 52_000, 9000); // the same process, with more uptime
      expect(await marks.count()).toBe(before + 1);
      expect(await marks.last().textContent()).toBe('→ cmwq');
      const curve = await page.locator('#chart-connections .plot path.line').first().getAttribute('d');
      const starts = [...(curve ?? '').matchAll(/M([\d.]+) /g)].map(([, x]) => Number(x));
      const mark = await page.locator('#chart-connections path.mark').nth(before).getAttribute('d');
      const at = Number(/^M([\d.]+) /.exec(mark ?? '')?.[1]);
      expect(starts.at(-1)).toBe(at); // begins anew at the mark
      expect(starts.at(-2)).toBeLessThan(at);
    });

    it('show a worker that sleeps in its item as blocked, under strategies without a hand-off too', async () => {
      const { page } = await virtualPage(new VirtualServer({ strategy: 'workqueue' }));
      await page.locator('#pause').click();
      const status = new VirtualServer({ strategy: 'workqueue' }).status();
      const one = status.workers[0] as ServerStatus['workers'][number]; // it has twenty
      const worker = (id: number, connection: number | null, sleepsIn: string | null) => ({
        ...{ ...one, id, state: 'onDuty' as const, pool: null, connection, sleepsIn },
      });
      const workers = [worker(1, 7, null), worker(2, 8, 'futex'), worker(3, null, null)];
      await showFrame(page, { ...status, workers, uptimeMs: 60_000 });
      const letters = await page.locator('#cells > .cell:not([hidden]) b').allTextContents();
      expect(letters).toEqual(['R', 'B', 'D']);
      const cmwq = [{ ...worker(1, 8, 'futex'), pool: 0 }]; // until it is noticed, it counts as running
      await showFrame(page, { ...status, workers: cmwq, uptimeMs: 60_100 });
      expect(await page.locator('#cells > .cell:not([hidden]) b').allTextContents()).toEqual(['R']);
    });

    it('show what waits in the worklists', async () => {
      const { page } = await virtualPage(new VirtualServer());
      await page.locator('#pause').click();
      const status = new VirtualServer().status();
      const cells = page.locator('#lanes tr td:nth-child(4)');
      const worklists = [
        { waiting: 12, longestMs: 45 },
        { waiting: 0, longestMs: 0 },
      ];
      await showFrame(page, { ...status, worklists, uptimeMs: 60_000 });
      expect(await cells.allTextContents()).toEqual(['1245 ms', '0']);
      await showFrame(page, { ...status, worklists: null, uptimeMs: 60_100 });
      expect(await cells.allTextContents()).toEqual(['–', '–']);
    });

    it('step through a recorded hand-off, by keys', async () => {
      const step = (kind: StepKind, atUs: number, nrRunning: number, slot: number, ...states: State[]) => {
        const [sleeperState = 'idle', nextState = 'idle'] = states;
        return { kind, atUs, nrRunning, slot, sleeperState, nextState };
      };
      const handOff: HandOff = {
        ...{ pool: 0, sleeper: 3, connection: 12, next: 5 },
        steps: [
          step('begins', 0, 1, 3, 'running'),
          step('sleeps', 1040, 0, 0, 'blocked'),
          step('onDuty', 1040, 0, 5, 'blocked', 'onDuty'),
          step('nextBegins', 1131, 1, 5, 'blocked', 'running'),
          step('wakes', 101_131, 2, 5, 'finishing', 'running'),
          step('ends', 102_000, 1, 5, 'idle', 'running'),
        ],
      };
      const { page } = await virtualPage(new VirtualServer(), {}, handOff);
      await page.locator('#record').click();
      await text(page, '#steps-title', 'One hand-off in pool 0: from w3 to w5');
      const times = await page.locator('#steps b').allTextContents();
      expect(times).toEqual([
        'begin',
        '1.04 ms later',
        'at once',
        '91 µs later',
        '100 ms later',
        '869 µs later',
      ]);
      const scene = async () =>
        (await page.locator('.scene .cell b, #scene-slot, #scene-running').allTextContents()).join(' ');
      const seen = [await scene()];
      for (let i = 0; i < 6; i++) {
        await page.keyboard.press('ArrowRight'); // once more than there are steps
        seen.push(await scene());
      }
      expect(seen).toEqual([
        'R I w3 1',
        'B I free 0',
        'B D w5 0',
        'B R w5 1',
        'F R w5 2',
        'I R w5 1',
        'I R w5 1',
      ]);
      await page.keyboard.press('ArrowLeft');
      expect(await scene()).toBe('F R w5 2');
      await page.keyboard.press('Escape');
      expect(await page.locator('#steps-panel').isHidden()).toBe(true);
    });

    it('name the system calls in which workers sleep, the longest sleep first', async () => {
      const { page } = await virtualPage(new VirtualServer());
      await page.locator('#pause').click();
      const status = new VirtualServer().status();
      const sleeps = (name: string | null, ms: number | null): ServerStatus['workers'][number] => ({
        ...(status.workers[0] as ServerStatus['workers'][number]), // it has twenty
        ...{ sleepsIn: name, sleepsForMs: ms },
      });
      const workers = [sleeps('futex', 50), sleeps('fsync', 1200), sleeps('futex', null), sleeps(null, null)];
      await showFrame(page, { ...status, workers, uptimeMs: 60_000 });
      await text(page, '#asleep', 'asleep in items: 1 in fsync (up to 1.2 s), 2 in futex (up to 50 ms)');
      await showFrame(page, { ...status, workers: [sleeps('read', null)], uptimeMs: 60_050 });
      await text(page, '#asleep', 'asleep in items: 1 in read');
      const height = (await page.locator('#asleep').boundingBox())?.height; // with text and without
      await showFrame(page, { ...status, workers: [sleeps(null, null)], uptimeMs: 60_100 });
      await text(page, '#asleep', '');
      expect((await page.locator('#asleep').boundingBox())?.height).toBe(height);
      const sum = status.stats.cpuPools.reduce((total, { cpuTimeMs }) => total + cpuTimeMs, 0);
      await text(page, '#counters tr:has-text("CPUtime") td:nth-child(2)', (sum / 1000).toFixed(1));
    });

    it('name the handler, count noticed sleeps, and say what a hung item was in', async () => {
      const { page } = await virtualPage(new VirtualServer());
      await page.locator('#pause').click();
      const virtual = new VirtualServer();
      virtual.note('hang', { worker: 3, in: 'running', killed: true });
      virtual.note('hang', { worker: 5, in: 'futex', killed: false });
      const status = virtual.status();
      const stats = { ...status.stats, items: { ...status.stats.items, noticed: 4321 } };
      await showFrame(page, { ...status, stats, handler: '/home/work.ts#query', uptimeMs: 60_000 });
      await text(page, '#facts dt:has-text("Handlers") + dd', '/home/work.ts#query');
      await text(page, '#counters tr:has-text("noticed") td:nth-child(2)', '4,321');
      await text(page, '#events tr:nth-child(1) .detail', 'worker 5, in futex');
      await text(page, '#events tr:nth-child(2) .detail', 'worker 3, running, killed');
    });

    it('merge successive events of a run slot taken away', async () => {
      const { page } = await virtualPage(new VirtualServer());
      await page.locator('#pause').click();
      const taken = (seq: number, times: number): ServerStatus['events'][number] => ({
        ...{ seq, atMs: seq * 1000, kind: 'slotTaken' as const },
        detail: { worker: seq, pool: 1, times },
      });
      const other = { seq: 3, atMs: 3000, kind: 'workerCulled' as const, detail: { worker: 9 } };
      const events = [taken(1, 1), taken(2, 5), other, taken(4, 1), taken(5, 7), taken(6, 2)];
      await showFrame(page, { ...new VirtualServer().status(), pid: 77, events, uptimeMs: 60_000 });
      const rows = await page.locator('#events tr:not([hidden]) .detail').allTextContents();
      expect(rows).toEqual([
        '10 times since 0:04.0, last from worker 6 of pool 1',
        'worker 9',
        '6 times since 0:01.0, last from worker 2 of pool 1',
      ]);
      await showFrame(page, { ...new VirtualServer().status(), pid: 78, events: [taken(1, 1)] }, 60_100);
      await text(page, '#events tr:nth-child(1) .detail', 'from worker 1 of pool 1');
    });

    it('cap the drawn workers and pools, and state the rest', async () => {
      const { page } = await virtualPage(new VirtualServer({ workers: 2046, pools: 256 }));
      expect(await page.locator('#cells > .cell').count()).toBe(600);
      await text(page, '#more-workers', 'and 1,446 more workers (not shown)');
      expect(await page.locator('#lanes tr').count()).toBe(64);
      await text(page, '#more-pools', 'and 192 more CPU pools (not shown)');
    });
  });

  it('opens from a file with a recording, and loads nothing', async () => {
    const [virtual, later] = [new VirtualServer({ strategy: 'workqueue' }), new VirtualServer()];
    const hostile = '</script><script>globalThis.owned = true</script>';
    virtual.note('refused', { [hostile]: hostile });
    const frames = [
      { atMs: 0, status: virtual.status() },
      { atMs: 1000, status: later.status() },
    ];
    const handOff: HandOff = { pool: 0, sleeper: 3, connection: 12, next: 5, steps: [] };
    const folder = mkdtempSync(join(tmpdir(), 'kecho-recording-'));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const file = join(folder, 'demo.html');
    writeFileSync(file, recordedPage(readStaticFiles(), { frames, handOff }));
    const page = await quietPage(); // one origin: the file's
    await page.goto(`file://${file}`);
    await text(page, '#stream', 'recorded');
    await text(page, '.notice', /A recording/);
    await text(page, '#strategy', 'cmwq');
    await text(page, '#strategy', 'workqueue'); // from the beginning
    await page.locator('#pause').click();
    await page.locator('#position').fill('1');
    await page.locator('#pause').click();
    await text(page, '#strategy', 'cmwq');
    await page.locator('#record').click();
    await text(page, '#steps-title', 'One hand-off in pool 0: from w3 to w5');
    expect(await page.evaluate('globalThis.owned')).toBeUndefined();
  });

  it('inserts every text as text', async () => {
    const virtual = new VirtualServer();
    const hostile = '<img src=x onerror="globalThis.owned = true"><script>owned = true</script>';
    virtual.note('refused', { [hostile]: hostile });
    virtual.note(hostile as 'refused', { worker: hostile });
    const clean = virtual.status();
    const status = {
      ...clean,
      version: hostile,
      node: hostile,
      services: [hostile],
      address: { address: hostile, port: hostile },
      stats: {
        ...clean.stats,
        state: hostile,
        strategy: hostile,
        connections: { ...clean.stats.connections, closed: { [hostile]: 7 }, refused: { [hostile]: 7 } },
      },
      workers: clean.workers.map((worker) => ({ ...worker, connection: hostile, sleepsIn: hostile })),
    } as unknown as ServerStatus;
    const { url } = await listen({ notReadyReason: null, status: () => status });
    const page = await quietPage();
    await page.goto(url);
    for (const where of [
      '#asleep',
      '#strategy',
      '#address',
      '#state',
      '#facts',
      '#events',
      '#closed',
      '#refusals',
    ]) {
      await text(page, where, /<img src=x onerror=/);
    }
    expect(await page.locator('img, body script').count()).toBe(0);
    expect(await page.evaluate('globalThis.owned')).toBeUndefined();
  });

  it('does not grow with time', async () => {
    const { page } = await virtualPage(new VirtualServer());
    await page.locator('#pause').click();
    const file = new URL('./support/virtual-server.ts', import.meta.url);
    const virtualServer = stripTypeScriptTypes(readFileSync(file, 'utf8')).replaceAll(/^export /gm, '');
    await page.evaluate(
      `${virtualServer}; globalThis.virtual = new VirtualServer({ workers: 60, pools: 4 });`,
    );
    const minutes = (count: number) =>
      page.evaluate(`(async () => {
        const { dashboard } = await import('/dashboard.js');
        for (let frame = 0; frame < ${count} * 600; frame++) {
          virtual.advance(${FRAME_MS});
          dashboard.take(virtual.status(), virtual.uptimeMs);
          if (frame % 20 === 0) dashboard.draw();
          if (frame % 200 === 0) await new Promise((resolve) => requestAnimationFrame(resolve));
        }
      })()`);
    const cdp = await page.context().newCDPSession(page);
    const figures = async () => {
      await cdp.send('HeapProfiler.collectGarbage');
      await cdp.send('HeapProfiler.collectGarbage');
      await cdp.send('Performance.enable');
      const { metrics } = await cdp.send('Performance.getMetrics');
      const metric = (name: string) => metrics.find((one) => one.name === name)?.value ?? Number.NaN;
      const elements = await page.evaluate<number>("document.getElementsByTagName('*').length");
      return { heapBytes: metric('JSHeapUsedSize'), nodes: metric('Nodes'), elements };
    };
    await minutes(6);
    const early = await figures();
    await minutes(FULL ? 24 : 4);
    const late = await figures();
    expect(await page.locator('#uptime').textContent()).toMatch(FULL ? /^29:59|30:00$/ : /^9:59|10:00$/);
    expect(late.heapBytes - early.heapBytes).toBeLessThan(2 << 20);
    expect(late.elements).toBe(early.elements);
    expect(late.nodes - early.nodes).toBeLessThan(200); // text nodes not yet collected
  });

  describe.each(FULL ? (['light', 'dark'] as const) : (['light'] as const))('in %s', (colorScheme) => {
    it('has no serious accessibility violation', async () => {
      const { page } = await virtualPage(new VirtualServer(), { colorScheme });
      await page.locator('#pause').click();
      const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
      await page.evaluate(axe);
      const { violations } = (await page.evaluate('axe.run()')) as {
        violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[];
      };
      const serious = violations.filter(({ impact }) => ['serious', 'critical'].includes(impact));
      expect(
        serious.map(({ id, nodes }) => [id, ...nodes.map((node) => `${node.html} ${node.failureSummary}`)]),
      ).toEqual([]);
    });
  });

  it.each(['cmwq', 'workqueue'] as const)('needs no horizontal scrolling: %s', async (strategy) => {
    const { page } = await virtualPage(new VirtualServer({ strategy, workers: 300, pools: 30 }));
    for (const width of [1400, 1000, 400, 360]) {
      await page.setViewportSize({ width, height: 900 });
      expect(await page.evaluate('document.documentElement.scrollWidth'), `${width} px`).toBeLessThanOrEqual(
        width,
      );
    }
  });
});
