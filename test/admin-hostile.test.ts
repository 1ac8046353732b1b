/**
 * Goal: no attack on the admin endpoint affects the echo port; the endpoint then answers the next client, and never
 * sends anything but its fixed responses.
 * Method: a server and its endpoint in this process, with short timeouts where they must expire. During each attack a
 * client echoes continuously; afterwards the echo port has refused or closed no connection, and the endpoint is alive.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { AdminOptions } from '../src/admin/index.ts';
import type { EchoServer } from '../src/index.ts';
import { ask, fakeSource, metricsOf, type Running, sampleOf, startAdmin } from './support/admin.ts';
import { Client, connectTo } from './support/client.ts';
import { parseMetrics } from './support/metrics.ts';
import { startServer } from './support/server.ts';
import { inParallel, pause, until } from './support/wait.ts';

/** For clients that must be cut; long enough that a stall of this process does not cut an honest request. */
const HEADERS_MS = 2000;
const IMPATIENT = { headersMs: HEADERS_MS, requestMs: 2 * HEADERS_MS, keepAliveMs: HEADERS_MS };
const PATIENT = { headersMs: 30_000, requestMs: 60_000, keepAliveMs: 30_000 };
/** The endpoint's limit. */
const MAX_CONNECTIONS = 64;

type Timeouts = NonNullable<AdminOptions['timeouts']>;

interface Target extends Running {
  server: EchoServer;
  echoPort: number;
}

async function startTarget(timeouts: Timeouts): Promise<Target> {
  const { server, port } = await startServer({ strategy: 'workqueue', workers: 1 });
  return { ...(await startAdmin(server, { timeouts })), server, echoPort: port };
}

/** Runs the attack while a client echoes, and checks afterwards that both ports work. */
async function whileEchoing(
  attack: (target: Target) => Promise<void>,
  timeouts: Timeouts = PATIENT,
): Promise<void> {
  const target = await startTarget(timeouts);
  const client = await connectTo(target.echoPort);
  let echoes = 0;
  let over = false;
  const echoing = (async () => {
    while (!over) {
      await client.echo(`echo ${echoes++}.`);
      await pause(1); // one event loop serves this client and the attack
    }
  })();
  try {
    await attack(target);
  } finally {
    over = true;
    await echoing;
  }
  await until(async () => (await isAlive(target)) === true, 'the endpoint to answer');
  const { connections, echoes: counted } = target.server.stats();
  expect(counted).toBe(echoes);
  expect(echoes).toBeGreaterThan(0);
  expect(connections).toMatchObject({ accepted: 1, active: 1 });
  for (const count of Object.values({ ...connections.refused, ...connections.closed })) expect(count).toBe(0);
  await client.quit();
}

async function isAlive({ url }: Running): Promise<boolean> {
  const answer = await ask(url, '/livez').catch(() => null); // dropped while the limit is reached
  return answer?.status === 200;
}

/** Sends bytes and returns everything received until the server closes. */
async function talk(port: number, bytes: Uint8Array | string): Promise<string> {
  const client = attacker(port, Buffer.from(bytes));
  await client.untilOver();
  return (await client.readExactly(client.available)).toString('latin1');
}

/** A client that the server may cut at any time. */
function attacker(port: number, first?: Uint8Array): Client {
  const client = new Client(port, first === undefined ? {} : { first });
  onTestFinished(() => {
    client.socket.destroy();
  });
  return client;
}

function request(head: string, host = 'localhost'): string {
  return `${head} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
}

/** Reproducible random bytes. */
function noise(seed: number, length: number): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return state >>> 24;
    }),
  );
}

describe('invalid requests', () => {
  it('answers other methods with 405 or 400', () =>
    whileEchoing(async ({ url, port }) => {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND']) {
        const { status, headers } = await ask(url, '/status.json', { method });
        expect([status, headers.allow], method).toEqual([405, 'GET, HEAD']);
      }
      expect(await talk(port, request('CONNECT example.com:80'))).toMatch(
        /^HTTP\/1\.1 405 .*\r\nAllow: GET, HEAD\r\n/,
      );
      expect(await talk(port, request('ECHO /'))).toMatch(/^HTTP\/1\.1 400 /);
      const head = await ask(url, '/status.json', { method: 'HEAD' });
      expect([head.status, head.body]).toEqual([200, '']);
    }));

  it('refuses bodies unread', () =>
    whileEchoing(async ({ url, port }) => {
      for (const headers of [{ 'Content-Length': '5' }, { 'Transfer-Encoding': 'chunked' }]) {
        expect((await ask(url, '/livez', { method: 'GET', headers, body: 'hello' })).status).toBe(413);
      }
      const expecting = 'GET /livez HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n';
      expect(await talk(port, expecting)).toMatch(/^HTTP\/1\.1 417 /);
      expect(await talk(port, expecting.replace('100-continue', 'tea'))).toMatch(/^HTTP\/1\.1 417 /);
    }));

  it('serves only the listed paths, in any spelling', () =>
    whileEchoing(async ({ port }) => {
      const paths = [
        '/../../../../etc/passwd',
        '/..%2f..%2f..%2fetc/passwd',
        '/%2e%2e/%2e%2e/etc/passwd',
        '/..%5c..%5cetc/passwd',
        '/..\\..\\etc\\passwd',
        '//etc/passwd',
        '/etc/passwd%00.js',
        '/dashboard/../admin.ts',
        '/admin.ts',
        '/package.json',
        '/status.json/..;/',
        '/%',
        '/%ff%fe',
        'http://elsewhere.example/etc/passwd',
        'file:///etc/passwd',
        '*',
      ];
      for (const path of paths) {
        const answer = await talk(port, request(`GET ${path}`));
        expect(answer, path).toMatch(/^HTTP\/1\.1 40[04] /);
        expect(answer, path).not.toMatch(/root:|createServer|kecho-pool"|passwd/);
      }
      for (const path of ['/a/../livez?x', 'http://elsewhere.example/livez'])
        expect(await talk(port, request(`GET ${path}`)), path).toMatch(/^HTTP\/1\.1 200 /);
    }));

  it('answers long headers and a huge URL with 431', () =>
    whileEchoing(async ({ port }) => {
      const long = 'x'.repeat(100_000);
      for (const bytes of [
        request(`GET /${long}`),
        request(`GET /livez HTTP/1.1\r\nX-Long: ${long}`),
        request(`GET /livez HTTP/1.1\r\n${'X-Many: 1\r\n'.repeat(2000)}X-Last: 1`),
      ]) {
        const answer = await talk(port, bytes);
        if (answer !== '') expect(answer).toMatch(/^HTTP\/1\.1 431 /); // otherwise the reset overtook it
      }
    }));

  it('refuses noise, a TLS hello and pipelined requests', () =>
    whileEchoing(async ({ port }) => {
      const hello = Buffer.from('16030100c8010000c40303', 'hex');
      const cases: Uint8Array[] = [
        hello,
        Buffer.concat([hello, noise(7, 300)]),
        Buffer.alloc(20_000),
        Buffer.from('\r\n'.repeat(5000)),
      ];
      for (let seed = 1; seed <= 50; seed++) cases.push(noise(seed, 50 * seed));
      await inParallel(cases.length, 8, async (i) => {
        expect(await talk(port, cases[i] as Uint8Array)).toMatch(/^(?:HTTP\/1\.1 4\d\d |$)/); // i < cases.length
      });
      const ask100 = 'GET /status.json HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(100);
      const answers = (await talk(port, ask100)).match(/HTTP\/1\.1 200/g) ?? [];
      expect(answers.length).toBeLessThanOrEqual(1);
    }, IMPATIENT));
});

async function watchers(url: string): Promise<number | undefined> {
  return sampleOf(await metricsOf(url), 'admin_watchers');
}

describe('slow clients', () => {
  it('accepts 64 connections, and another when one has left', async () => {
    const timeouts = { keepAliveMs: 60_000, stalledMs: 60_000 };
    const { port } = await startAdmin(fakeSource(), { timeouts });
    const livez = Buffer.from('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const clients = [];
    for (let i = 0; i < MAX_CONNECTIONS; i++) {
      const client = attacker(port, livez);
      await client.untilAvailable(1);
      clients.push(client);
    }
    expect(await talk(port, '')).toBe('');
    clients[7]?.reset();
    await until(async () => (await talk(port, request('GET /livez'))) !== '', 'a free place');
    for (const client of clients) expect(client.ended).toBe(false);
  });

  it('keeps 64 of 1,000 silent connections until their timeout, and drops the others at once', () =>
    whileEchoing(async ({ port, url }) => {
      const clients = Array.from({ length: 1000 }, () => attacker(port));
      const over = () => clients.filter((client) => client.ended || client.closed).length;
      await until(() => over() >= 1000 - MAX_CONNECTIONS, 'connections beyond the limit to be dropped');
      await until(() => over() === 1000, 'the silent connections to be ended');
      const ended = clients.filter((client) => client.available > 0); // received a 408; dropped ones received nothing
      const metrics = parseMetrics((await ask(url, '/metrics')).body);
      const name = 'kecho_pool_admin_connections_dropped_total';
      expect(metrics.get(name)?.samples.get(name)).toBe(1000 - ended.length);
    }, IMPATIENT));

  it('cuts headers sent a byte at a time at the timeout', () =>
    whileEchoing(async ({ port }) => {
      const clients = Array.from({ length: 20 }, () =>
        attacker(port, Buffer.from('GET /livez HTTP/1.1\r\nX: ')),
      );
      await until(async () => {
        for (const client of clients) if (!client.closed && client.socket.writable) client.send('a');
        await pause(20);
        return clients.every((client) => client.ended || client.closed);
      }, 'the slow clients to be cut');
    }, IMPATIENT));

  it('serves other clients while responses stay unread', () =>
    whileEchoing(async ({ port, url }) => {
      const endless = 'GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n';
      const clients = Array.from({ length: 30 }, () => attacker(port, Buffer.from(endless)));
      for (const client of clients) client.socket.pause();
      await until(async () => (await watchers(url)) === 16, 'all places to be taken');
      for (let i = 0; i < 20; i++) expect((await ask(url, '/status.json')).status).toBe(200);
      expect((await ask(url, '/events')).status).toBe(503);
      for (const client of clients) client.reset();
      await until(async () => (await watchers(url)) === 0, 'all places to be free');
    }));

  it('survives connections reset in mid-request', () =>
    whileEchoing(async ({ port }) => {
      await inParallel(300, 20, async (i) => {
        const client = attacker(port, Buffer.from(request('GET /status.json').slice(0, i % 50)));
        await client.connected().catch(() => null); // may be dropped
        client.reset();
        await client.untilClosed();
      });
    }));
});

describe('browsers', () => {
  it('refuses a name that was rebound to this machine (DNS rebinding)', async () => {
    const { url, port } = await startAdmin(fakeSource());
    const withHost = async (host: string) =>
      (await ask(url, '/status.json', { headers: { Host: host } })).status;
    for (const host of [
      ...['localhost', 'LOCALHOST:1', 'localhost.', `localhost.:${port}`],
      ...[
        '127.0.0.1',
        `127.0.0.1:${port}`,
        '127.0.0.1.',
        '127.1',
        '127.0.0.2',
        '127.255.255.254:1',
        '2130706433',
      ],
      ...['0x7f.1', '0x7f000001', '0177.0.0.1'],
      ...['[::1]:80', '[0:0:0:0:0:0:0:1]', '[::0001]', '[::ffff:127.0.0.1]:9', '[::ffff:7f00:2]'],
    ]) {
      expect(await withHost(host), host).toBe(200);
    }
    for (const host of [
      'rebound.example',
      'localhost.example',
      '127.0.0.1.example',
      '127.example',
      '127.0.0.1.evil.example',
      'localhost.localhost',
      'sub.localhost',
      'evil.example@127.0.0.1',
      '127.0.0.1@evil.example',
      'localhost/evil.example',
      'localhost#evil.example',
      'localhost?evil.example',
      'localhost\\evil.example',
      'localhost, evil.example',
      '128.0.0.1',
      '[::2]',
      '[::ffff:128.0.0.1]',
      '[::127.0.0.1]',
      '0.0.0.0',
      '::1',
    ]) {
      expect(await withHost(host), host).toBe(421);
    }
    expect(await talk(port, 'GET /status.json HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1\.1 421 /);
    expect(await talk(port, request('GET /status.json', ''))).toMatch(/^HTTP\/1\.1 421 /);
    expect(await talk(port, 'GET /status.json HTTP/1.1\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    const absolute = 'GET http://localhost/status.json HTTP/1.1\r\nHost: rebound.example\r\n\r\n';
    expect(await talk(port, absolute)).toMatch(/^HTTP\/1\.1 421 /);
  });

  it('accepts any Host on an address that is not loopback, and logs a warning', async () => {
    const warnings: string[] = [];
    const logger = { info() {}, error() {}, warn: (_: object, text: string) => warnings.push(text) };
    const { port } = await startAdmin(fakeSource(), { listen: '0.0.0.0:0', logger });
    const url = `http://127.0.0.1:${port}/`;
    expect((await ask(url, '/livez', { headers: { Host: 'monitored.example' } })).status).toBe(200);
    expect(warnings).toEqual(['admin endpoint is reachable from other machines']);
  });

  it('sends the security headers with every response', async () => {
    const { url } = await startAdmin(fakeSource());
    const cases = [
      ['/'],
      ['/livez'],
      ['/metrics'],
      ['/status.json'],
      ['/nowhere'],
      ['/events?hz=0'],
      ['/livez', { method: 'POST' }],
      ['/livez', { headers: { Host: 'rebound.example' } }],
      ['/livez', { headers: { Origin: 'https://elsewhere.example' } }],
    ] as const;
    for (const [path, options] of cases) {
      const { headers } = await ask(url, path, options);
      expect(headers, path).toMatchObject({
        'content-security-policy': expect.stringMatching(/^default-src 'none'; .*frame-ancestors 'none'$/),
        'x-content-type-options': 'nosniff',
        'referrer-policy': 'no-referrer',
        'cache-control': 'no-store',
      });
      expect(Object.keys(headers).filter((name) => name.startsWith('access-control'))).toEqual([]);
    }
  });
});
