/**
 * Goal: the dashboard shows the server's activity, stops while hidden or paused, and survives the loss of the server.
 * Method: a real Chromium. Pages of real servers with handlers that sleep and compute, and of a server on a virtual
 * clock where values must be exact. Every test ends with: no console message, no violation of the content security
 * policy, no request to another origin. test/dashboard-view.test.ts tests the drawing.
 */
import type { Page } from 'playwright-core';
import { describe, expect, it, onTestFinished } from 'vitest';
import { freePort } from '../bench/free-port.ts';
import { createEchoServer } from '../src/index.ts';
import { watch } from './support/admin.ts';
import { CHROMIUM, hasChromium } from './support/browser.ts';
import { listen, quietPage, realPage, text, useBrowser, virtualPage } from './support/dashboard.ts';
import { VirtualServer } from './support/virtual-server.ts';
import { until } from './support/wait.ts';

/** Console messages that the loss of a server causes. */
const LOSS = /ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/;

function path(page: Page, chart: string): Promise<string | null> {
  return page.locator(`#chart-${chart} svg path.line`).last().getAttribute('d');
}

describe.skipIf(!hasChromium)(`the dashboard in a browser (skipped without ${CHROMIUM})`, () => {
  useBrowser();

  describe('with a real server', () => {
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
      await text(page, '#chart-echo-time .value', /ms|s/);
    });

    it('shows CPU-intensive workers, the ring around the slot holder, and the event', async () => {
      const { page } = await realPage({ cpus: 1, service: ['burn:150ms'], cpuIntensiveThreshMs: 75 }, 2);
      await page.locator('#cells .cell.s-cpuIntensive').first().waitFor();
      await page.locator('#cells .ring:not(.absent)').first().waitFor();
      await text(page, '#events', /run slot taken away: computed too longfrom worker \d of pool 0/);
      const intensive = page.locator('#counters tr', { hasText: 'CPUitsv' }).locator('td').first();
      await until(async () => Number(await intensive.textContent()) > 0, 'it to be counted');
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
    it('pauses and resumes, by the button and by the keys', async () => {
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

    it('reports a lost server, and reconnects when another listens there', async () => {
      const first = createEchoServer({ port: 0, strategy: 'kthread', logLevel: 'silent' });
      onTestFinished(async () => void (await first.close({ drainTimeoutMs: 0 })));
      const { admin, url } = await listen(first, `127.0.0.1:${freePort()}`); // no other program takes it meanwhile
      await first.listen();
      const page = await quietPage({}, LOSS);
      await page.goto(url);
      await text(page, '#strategy', 'kthread');
      await text(page, '#stream', 'live');
      await first.close({ drainTimeoutMs: 0 });
      await admin.close();
      await text(page, '#state', 'lost');
      await text(page, '#banner', /Server lost Last frame \d+ s ago; the server was stopped/);
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

    it('reports a refused stream, and tries again', async () => {
      const virtual = new VirtualServer();
      const { admin, url } = await listen({
        notReadyReason: null,
        status: () => virtual.status(),
      });
      const others = [];
      while (!admin.watchers.isFull) others.push(await watch(url));
      const page = await quietPage({}, /status of 503/);
      await page.goto(url);
      await text(page, '#banner', /refuses to stream No frame received yet. There may be too many clients/);
      others[0]?.response.destroy();
      await text(page, '#stream', 'live');
    });

    it('draws only the latest of several frames', async () => {
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
});
