/**
 * Goal: the dashboard shows what the server does, stops when nobody looks, survives the loss of the server, grows with
 * nothing, and trusts nothing that it is sent; everybody can read it.
 * Method: a real Chromium. Pages of real servers with handlers that sleep and compute, pages of a server by a virtual clock
 * for what takes long or must be exact. Every test ends with: no complaint in the console, no violation of the content
 * security policy, no request to another origin.
 */
import { readFileSync } from 'node:fs';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Admin, createAdmin, type StatusSource } from '../src/admin/index.ts';
import { createEchoServer, type EchoServerOptions } from '../src/index.ts';
import type { ServerStatus } from '../src/status.ts';
import { watch } from './support/admin.ts';
import { CHROMIUM, hasChromium, openPage, startBrowser, type Watched } from './support/browser.ts';
import { Load } from './support/load.ts';
import { VirtualServer } from './support/virtual-server.ts';
import { until } from './support/wait.ts';

const FRAME_MS = 100;
/** What the loss of a server looks like in the console. */
const LOSS = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/;

let browser: Browser;

/** A page that must not have complained by the end of the test. */
async function quietPage(options: BrowserContextOptions = {}, tolerated = /^$/): Promise<Page> {
  const watched: Watched = await openPage(browser, options);
  onTestFinished(() => {
    expect(watched.complaints.filter((complaint) => !tolerated.test(complaint))).toEqual([]);
    expect(watched.origins.size).toBe(1);
  });
  return watched.page;
}

async function listen(
  source: StatusSource,
  listenAt = '127.0.0.1:0',
): Promise<{ admin: Admin; url: string }> {
  const admin = createAdmin(source, { listen: listenAt });
  onTestFinished(() => admin.close());
  return { admin, ...(await admin.listen()) };
}

/** A page that shows a server without a clock of its own. */
async function virtualPage(virtual: VirtualServer, options: BrowserContextOptions = {}) {
  const source: StatusSource = { state: 'listening', status: () => virtual.status() };
  const { admin, url } = await listen(source);
  const page = await quietPage(options);
  await page.goto(url);
  await text(page, '#stream', 'live');
  return { page, admin, url };
}

/** A real server, its load and its page. */
async function realPage(options: EchoServerOptions, connections: number) {
  const server = createEchoServer({ port: 0, logLevel: 'silent', ...options });
  onTestFinished(async () => {
    await server.close({ drainTimeoutMs: 0 });
  });
  const { url } = await listen(server);
  const { port } = await server.listen();
  const load = new Load(port, connections);
  onTestFinished(() => load.stop());
  const page = await quietPage();
  await page.goto(url);
  return { server, page, load, port };
}

/** Waits until an element says so. */
function text(page: Page, selector: string, wanted: string | RegExp): Promise<void> {
  let found: string | null = null;
  return until(
    async () => {
      found = await page.locator(selector).textContent();
      return typeof wanted === 'string' ? found === wanted : wanted.test(found ?? '');
    },
    () => `${selector} to say ${wanted}, not ${found}`,
  );
}

function path(page: Page, chart: string): Promise<string | null> {
  return page.locator(`#chart-${chart} svg path.line`).last().getAttribute('d');
}

/** Shows frames by the page's own function, as if they had arrived `FRAME_MS` apart. Its clock is the frame's uptime. */
function showFrame(page: Page, status: ServerStatus, nowMs = status.uptimeMs): Promise<void> {
  return page.evaluate(
    `(async ([status, nowMs]) => {
      const { dashboard } = await import('/dashboard.js');
      dashboard.take(status, nowMs);
      dashboard.draw();
    })(${JSON.stringify([status, nowMs])})`,
  );
}

describe.skipIf(!hasChromium)(`the dashboard in a browser (skipped without ${CHROMIUM})`, () => {
  beforeAll(async () => {
    browser = await startBrowser();
  }, 60_000);
  afterAll(() => browser?.close());

  describe('before a real server', () => {
    it('shows the strategy, the address and the state, echoes, and workers that fall asleep', async () => {
      const { page, port } = await realPage({ cpus: 1, service: ['sleep:200ms'] }, 6);
      await text(page, '#strategy', 'cmwq');
      await text(page, '#address', `127.0.0.1:${port}`);
      await text(page, '#state', 'listening');
      await page.locator('#cells .cell.s-blocked').first().waitFor();
      expect(await page.locator('#cells .cell.s-blocked b').first().textContent()).toBe('B');
      await text(page, '#open', '6');
      await text(page, '#chart-echoes .value', /^[1-9]/);
      const before = await path(page, 'echoes');
      await until(async () => (await path(page, 'echoes')) !== before, 'the curve to move');
      await text(page, '#chart-echo-time .value', /ms|s/); // one echo in 64 is measured
    });

    it('shows workers that compute for too long, the ring around the slot holder, and the event', async () => {
      const { page } = await realPage({ cpus: 1, service: ['burn:150ms'], cpuIntensiveThreshMs: 2 }, 2);
      await page.locator('#cells .cell.s-cpuIntensive').first().waitFor();
      await page.locator('#cells .ring:not(.absent)').first().waitFor();
      await text(page, '#events', /run slot taken/);
      const intensive = page.locator('#counters tr', { hasText: 'CPUitsv' }).locator('td').first();
      expect(Number(await intensive.textContent())).toBeGreaterThan(0);
    });

    it.each([
      { strategy: 'kthread', maxWorkers: 1 },
      { strategy: 'workqueue', workers: 1 },
    ] as const)('shows the queue of $strategy', async (options) => {
      const { page } = await realPage({ ...options, service: ['sleep:5ms'] }, 4);
      await text(page, '#strategy', options.strategy);
      await text(page, '#queue-depth', '3');
      expect(await page.locator('#dots i:not([hidden])').count()).toBe(3);
      expect(await page.locator('#stage-pools').isHidden()).toBe(true);
      await page.locator('#cells .cell.s-running').first().waitFor();
    });
  });

  describe('the stream', () => {
    it('pauses and goes on, by the button and by the keys', async () => {
      const virtual = new VirtualServer();
      const { page, admin } = await virtualPage(virtual);
      await page.locator('#pause').click();
      await text(page, '#stream', 'paused');
      await until(() => admin.watchers.size === 0, 'the stream to end');
      const before = await page.locator('main').innerText();
      virtual.advance(60_000);
      expect(await page.locator('main').innerText()).toBe(before);
      await page.locator('#pause').blur();
      await page.keyboard.press('p');
      await text(page, '#uptime', '1:00');
      await page.keyboard.press(' ');
      await text(page, '#stream', 'paused');
      await page.locator('#pause').focus();
      await page.keyboard.press(' '); // the button's own key: once, not twice
      await text(page, '#stream', 'live');
    });

    it('is closed while the page is hidden', async () => {
      const { page, admin } = await virtualPage(new VirtualServer());
      const hide = (hidden: boolean) =>
        page.evaluate(
          `Object.defineProperty(document, 'hidden', { value: ${hidden}, configurable: true });
           document.dispatchEvent(new Event('visibilitychange'));`,
        );
      expect(admin.watchers.size).toBe(1);
      await hide(true);
      await until(() => admin.watchers.size === 0, 'the stream to end');
      await text(page, '#stream', 'hidden');
      await hide(false);
      await text(page, '#stream', 'live');
      expect(admin.watchers.size).toBe(1);
    });

    it('says that the server is lost, and comes back by itself when another listens there', async () => {
      const first = createEchoServer({ port: 0, strategy: 'kthread', logLevel: 'silent' });
      onTestFinished(async () => void (await first.close({ drainTimeoutMs: 0 })));
      const { admin, url } = await listen(first);
      await first.listen();
      const page = await quietPage({}, LOSS);
      await page.goto(url);
      await text(page, '#strategy', 'kthread');
      await text(page, '#stream', 'live');
      await first.close({ drainTimeoutMs: 0 });
      await admin.close();
      await text(page, '#state', 'lost');
      await text(page, '#banner', /Server lost Last heard of \d+ s ago, then stopped/);
      expect(await page.locator('#banner').isVisible()).toBe(true);
      const second = createEchoServer({ port: 0, strategy: 'workqueue', logLevel: 'silent' });
      onTestFinished(async () => void (await second.close({ drainTimeoutMs: 0 })));
      await listen(second, new URL(url).host);
      await second.listen();
      await text(page, '#strategy', 'workqueue');
      await text(page, '#state', 'listening');
      await text(page, '#stream', 'live');
      expect(await page.locator('#banner').isHidden()).toBe(true);
    });

    it('says that it is refused, and tries again', async () => {
      const virtual = new VirtualServer();
      const { admin, url } = await listen({ state: 'listening', status: () => virtual.status() });
      const others = [];
      while (!admin.watchers.isFull) others.push(await watch(url));
      const page = await quietPage({}, /status of 503/);
      await page.goto(url);
      await text(
        page,
        '#banner',
        /refuses to stream Nothing was received yet. Perhaps too many pages are open/,
      );
      others[0]?.response.destroy();
      await text(page, '#stream', 'live');
    });

    it('is not drawn more often than it is sent, and only the latest frame', async () => {
      const { page } = await virtualPage(new VirtualServer());
      await page.locator('#pause').click();
      const drawn = await page.evaluate(`(async (statuses) => {
        const { dashboard } = await import('/dashboard.js');
        const heads = [];
        const observer = new MutationObserver((changes) => {
          for (const { addedNodes } of changes) heads.push(addedNodes[0].textContent);
        });
        observer.observe(document.getElementById('uptime'), { childList: true });
        for (const status of statuses) dashboard.take(status, status.uptimeMs);
        await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
        return heads;
      })(${JSON.stringify([1000, 2000, 3000].map((ms) => ({ ...new VirtualServer().status(), uptimeMs: ms })))})`);
      expect(drawn).toEqual(['3 s']);
    });
  });

  describe('the figures', () => {
    it('are differences of what the server counts, and a restarted server makes no spike', async () => {
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

    it('percentiles are the bounds of the buckets that were added to', async () => {
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
      await showFrame(page, withEchoes(56_000, { 4: 60, 10: 39, 14: 1, 25: 1 })); // past the last bound
      expect(await key.allTextContents()).toEqual(['–', '–', '–']); // a gap: nothing to compare with
      await showFrame(page, withEchoes(56_100, { 4: 60, 10: 39, 14: 1, 25: 2 }));
      expect(await key.allTextContents()).toEqual(['more', 'more', 'more']);
    });

    it('a hand-off moves the ring to the cell of the new holder', async () => {
      const { page } = await virtualPage(new VirtualServer({ pools: 1 }));
      await page.locator('#pause').click();
      const status = new VirtualServer({ pools: 1 }).status();
      const held = (slot: number, uptimeMs: number): ServerStatus => ({
        ...status,
        uptimeMs,
        stats: { ...status.stats, cpuPools: [{ connections: 2, nrRunning: 1, nrActive: 2, slot }] },
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
      expect(await page.locator('.arcs path').first().getAttribute('d')).toMatch(/^M[\d.]+ [\d.]+Q/);
      await text(page, '#lanes .holder', 'w11');
      const arc = await page.locator('.arcs path').first().getAttribute('d');
      await page.emulateMedia({ reducedMotion: 'reduce' });
      await showFrame(page, held(3, 60_200));
      await until(async () => (await offset()) === 3, 'the ring around worker 3');
      expect(await page.locator('.arcs path').first().getAttribute('d')).toBe(arc);
    });

    it('caps what it draws and says so', async () => {
      const { page } = await virtualPage(new VirtualServer({ workers: 2046, pools: 256 }));
      expect(await page.locator('#cells > .cell').count()).toBe(600);
      await text(page, '#more-workers', 'and 1,446 more workers, which are not drawn');
      expect(await page.locator('#lanes tr').count()).toBe(64);
      await text(page, '#more-pools', 'and 192 more CPU pools, which are not drawn');
    });
  });

  it('takes text as text, wherever it stands', async () => {
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
      workers: clean.workers.map((worker) => ({ ...worker, connection: hostile })),
    } as unknown as ServerStatus;
    const { url } = await listen({ state: 'listening', status: () => status });
    const page = await quietPage();
    await page.goto(url);
    for (const where of ['#strategy', '#address', '#state', '#facts', '#events', '#closed', '#refusals']) {
      await text(page, where, /<img src=x onerror=/);
    }
    expect(await page.locator('img, body script').count()).toBe(0);
    expect(await page.evaluate('globalThis.owned')).toBeUndefined();
  });

  it('does not grow in thirty minutes', async () => {
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
    await minutes(10);
    const early = await figures();
    await minutes(20);
    const late = await figures();
    expect(await page.locator('#uptime').textContent()).toMatch(/^29:59|30:00$/);
    expect(late.heapBytes - early.heapBytes).toBeLessThan(2 << 20);
    expect(late.elements).toBe(early.elements);
    expect(late.nodes - early.nodes).toBeLessThan(200); // texts on their way out
  }, 60_000);

  describe.each(['light', 'dark'] as const)('in %s', (colorScheme) => {
    it('has no serious fault of accessibility', async () => {
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

  it.each(['cmwq', 'workqueue'] as const)('needs no scrolling to the side: %s', async (strategy) => {
    const { page } = await virtualPage(new VirtualServer({ strategy, workers: 300, pools: 30 }));
    for (const width of [1400, 1000, 400, 360]) {
      await page.setViewportSize({ width, height: 900 });
      expect(await page.evaluate('document.documentElement.scrollWidth'), `${width} px`).toBeLessThanOrEqual(
        width,
      );
    }
  });
});
