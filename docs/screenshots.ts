/**
 * `npm run screenshots`: makes docs/dashboard-*.webp, the dashboard of a busy server, light and dark, wide and narrow.
 *
 * Server, admin endpoint and clients are all in this process, on free ports of 127.0.0.1, and run for LIVELY_MS, so
 * that the curves are full. Needs Chromium and cwebp (Debian's package webp).
 */
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { createAdmin } from '../src/admin/index.ts';
import { createEchoServer } from '../src/index.ts';

const CHROMIUM = '/usr/bin/chromium';
const LIVELY_MS = 62_000;
const CLIENTS = 20;
/** Handlers in turn, one for each client: most sleep, some compute, one computes for too long. */
const SERVICES = [
  ...Array.from({ length: 12 }, () => 'burn:1ms,sleep:45ms'),
  ...Array.from({ length: 6 }, () => 'burn:3ms'),
  'sleep:200ms',
  'burn:40ms',
];
/** `height` is in pixels from the top; null takes the whole page. */
const PICTURES = [
  { width: 1400, colorScheme: 'light', height: null },
  { width: 1400, colorScheme: 'dark', height: null },
  { width: 400, colorScheme: 'light', height: 2000 },
  { width: 400, colorScheme: 'dark', height: 2000 },
] as const;

/** One client: echoes with pauses, on a new connection from time to time. */
async function client(port: number, lane: number, signal: AbortSignal): Promise<void> {
  for (let life = 0; !signal.aborted; life++) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    await once(socket, 'connect');
    const requests = 30 + ((lane * 7 + life * 13) % 60);
    for (let n = 0; n < requests && !signal.aborted; n++) {
      socket.write('x'.repeat(64));
      await once(socket, 'data');
      await pause(((lane * 31 + n * 17) % 60) + 40 * (1 + Math.sin(n / 9)));
    }
    socket.end();
    await once(socket.resume(), 'close');
  }
}

/** Screenshots as PNG by file name. Encoding follows later, as it would block the server. */
async function takePictures(url: string): Promise<Map<string, Buffer>> {
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox'] });
  const pictures = new Map<string, Buffer>();
  try {
    const page = await browser.newPage({ viewport: { width: 1400, height: 1000 } });
    await page.goto(url);
    await pause(LIVELY_MS);
    for (const { width, colorScheme, height } of PICTURES) {
      await page.setViewportSize({ width, height: height ?? 1000 });
      await page.emulateMedia({ colorScheme });
      await pause(1000);
      const picture = await page.screenshot({ fullPage: height === null });
      pictures.set(`dashboard-${width}-${colorScheme}.webp`, picture);
    }
    return pictures;
  } finally {
    await browser.close();
  }
}

const server = createEchoServer({ port: 0, cpus: 2, service: SERVICES, logLevel: 'silent' });
const admin = createAdmin(server);
const { url } = await admin.listen();
const { port } = await server.listen();
const stop = new AbortController();
const clients = Array.from({ length: CLIENTS }, (_, lane) => client(port, lane, stop.signal));
const pictures = await takePictures(url);
stop.abort();
await Promise.all(clients);
await server.close();
await admin.close();

for (const [name, picture] of pictures) {
  const path = fileURLToPath(new URL(name, import.meta.url));
  execFileSync('cwebp', ['-quiet', '-lossless', '-z', '9', '-o', path, '--', '-'], { input: picture });
  process.stdout.write(`${path}\n`);
}
