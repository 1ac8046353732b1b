/**
 * Headless Chromium, driven through the DevTools protocol: opens a page, records its requests and errors, and evaluates
 * expressions in it.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { within } from './wait.ts';

const CHROMIUM = '/usr/bin/chromium';
const START_DEADLINE_MS = 60_000;

export const hasChromium = existsSync(CHROMIUM);

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
  '--remote-debugging-port=0',
];

interface Message {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

function devtoolsAddress(child: ChildProcess): Promise<string> {
  const found = Promise.withResolvers<string>();
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
    const match = /DevTools listening on (ws:\/\/\S+)/.exec(text);
    if (match?.[1] !== undefined) found.resolve(match[1]);
  });
  child.once('exit', () => found.reject(new Error(`Chromium ended: ${text}`)));
  return within(found.promise, 'Chromium to start', START_DEADLINE_MS);
}

export class Page {
  /** URLs of all requests. */
  readonly requests: string[] = [];
  /** Script errors, console errors, violations of the content security policy. */
  readonly errors: string[] = [];
  private readonly socket: WebSocket;
  private session: string | undefined;
  private nextId = 1;
  private readonly waiting = new Map<number, PromiseWithResolvers<Record<string, unknown>>>();
  private loaded: () => void = () => {};

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.addEventListener('message', ({ data }) => this.take(JSON.parse(String(data)) as Message));
  }

  /** Starts a browser with an empty page, until the end of the test. */
  static async start(): Promise<Page> {
    const folder = mkdtempSync(join(tmpdir(), 'kecho-chromium-'));
    const child = spawn(CHROMIUM, [...FLAGS, `--user-data-dir=${folder}`], { stdio: 'pipe', detached: true });
    const gone = once(child, 'exit');
    onTestFinished(async () => {
      if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL');
      await gone;
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    });
    const socket = new WebSocket(await devtoolsAddress(child));
    await once(socket, 'open');
    const page = new Page(socket);
    const { targetId } = await page.send('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await page.send('Target.attachToTarget', { targetId, flatten: true });
    page.session = String(sessionId);
    for (const domain of ['Page', 'Network', 'Runtime', 'Log']) await page.send(`${domain}.enable`);
    return page;
  }

  private take({ id, method, params, result, error }: Message): void {
    if (id !== undefined) {
      const waiting = this.waiting.get(id);
      this.waiting.delete(id);
      if (error === undefined) waiting?.resolve(result ?? {});
      else waiting?.reject(new Error(error.message));
    } else if (method === 'Network.requestWillBeSent') {
      this.requests.push((params as { request: { url: string } }).request.url);
    } else if (method === 'Runtime.exceptionThrown' || method === 'Log.entryAdded') {
      this.errors.push(JSON.stringify(params));
    } else if (method === 'Page.loadEventFired') this.loaded();
  }

  send(method: string, params: Record<string, unknown> = {}): Promise<Record<string, unknown>> {
    const id = this.nextId++;
    const answer = Promise.withResolvers<Record<string, unknown>>();
    this.waiting.set(id, answer);
    const session = this.session === undefined ? {} : { sessionId: this.session };
    this.socket.send(JSON.stringify({ id, method, params, ...session }));
    return within(answer.promise, `an answer to ${method}`);
  }

  async open(url: string): Promise<void> {
    const loaded = new Promise<void>((resolve) => {
      this.loaded = resolve;
    });
    await this.send('Page.navigate', { url });
    await within(loaded, `${url} to load`);
  }

  /** Sets the window width and the colour scheme. */
  async emulate(width: number, scheme: 'light' | 'dark'): Promise<void> {
    const size = { width, height: 900, deviceScaleFactor: 1, mobile: width < 600 };
    await this.send('Emulation.setDeviceMetricsOverride', size);
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.send('Emulation.setEmulatedMedia', { features });
  }

  /** The value of an expression in the page. */
  async value<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression,
      returnByValue: true,
    });
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value: T }).value;
  }
}
