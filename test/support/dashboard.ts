/**
 * Dashboard pages in a browser, of real servers and of a server on a virtual clock. At the end of its test a page must
 * have no complaints and must have requested one origin only.
 */
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import type { HandOff } from '../../src/admin/hand-off.ts';
import type { StatusSource } from '../../src/admin/index.ts';
import { createEchoServer, type EchoServerOptions } from '../../src/index.ts';
import type { ServerStatus } from '../../src/schema/status.ts';
import { startEndpoint } from './admin.ts';
import { openPage, startBrowser, type Watched } from './browser.ts';
import { Load } from './load.ts';
import type { VirtualServer } from './virtual-server.ts';
import { until } from './wait.ts';

let browser: Browser;

/** One browser for the tests of a file; call it within their `describe`. */
export function useBrowser(): void {
  beforeAll(async () => {
    browser = await startBrowser();
  }, 60_000);
  afterAll(() => browser?.close());
}

/** A page that must have no complaints at the end of the test. */
export async function quietPage(options: BrowserContextOptions = {}, tolerated = /^$/): Promise<Page> {
  const watched: Watched = await openPage(browser, options);
  onTestFinished(() => {
    expect(watched.complaints.filter((complaint) => !tolerated.test(complaint))).toEqual([]);
    expect(watched.origins.size).toBe(1);
  });
  return watched.page;
}

/** An admin endpoint for a server, closed after the test. */
export function listen(source: StatusSource, listenAt = '127.0.0.1:0', handOff: HandOff | null = null) {
  return startEndpoint(source, { listen: listenAt, snapshotAgeMs: 100, handOff });
}

/** A page of a server on a virtual clock. */
export async function virtualPage(
  virtual: VirtualServer,
  options: BrowserContextOptions = {},
  handOff: HandOff | null = null,
) {
  const source: StatusSource = { notReadyReason: null, status: () => virtual.status() };
  const { admin, url } = await listen(source, '127.0.0.1:0', handOff);
  const page = await quietPage(options);
  await page.goto(url);
  await text(page, '#stream', 'live');
  return { page, admin, url };
}

/** A real server, its load and its page. */
export async function realPage(options: EchoServerOptions, connections: number) {
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

/** Waits until an element has this text. */
export async function text(page: Page, selector: string, wanted: string | RegExp): Promise<void> {
  let found: string | null = null;
  await until(
    async () => {
      found = await page.locator(selector).textContent();
      return typeof wanted === 'string' ? found === wanted : wanted.test(found ?? '');
    },
    () => `${selector} to be ${wanted}, not ${found}`,
  );
}

/** Passes a frame to the page as if it had arrived at `nowMs`, and draws it. */
export function showFrame(page: Page, status: ServerStatus, nowMs = status.uptimeMs): Promise<void> {
  return page.evaluate(
    `(async ([status, nowMs]) => {
      const { dashboard } = await import('/dashboard.js');
      dashboard.take(status, nowMs);
      dashboard.draw();
    })(${JSON.stringify([status, nowMs])})`,
  );
}
