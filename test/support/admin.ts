/**
 * For tests of the admin endpoint: an endpoint with its thread, or its HTTP server in this thread; plain HTTP requests, readers of its metrics and event
 * stream, and a fake status where no real server is needed.
 */
import { type Agent, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http';
import { expect, onTestFinished } from 'vitest';
import { type AdminTimeouts, Endpoint } from '../../src/admin/endpoint.ts';
import { readStaticFiles } from '../../src/admin/files.ts';
import type { HandOff } from '../../src/admin/hand-off.ts';
import { type AdminOptions, createAdmin, type StatusSource } from '../../src/admin/index.ts';
import { listenAt } from '../../src/admin/listening.ts';
import type { EndpointSource } from '../../src/admin/routes.ts';
import { createEchoServer } from '../../src/index.ts';
import { parseAdminAddress } from '../../src/options/admin-address.ts';
import { noDeaths } from '../../src/pool/deaths.ts';
import type { ServerStatus } from '../../src/schema/status.ts';
import { type Metric, parseMetrics } from './metrics.ts';
import { until, within } from './wait.ts';

export interface Answer {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface RequestOptions {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** Default: a separate connection. */
  agent?: Agent;
}

/** The target of an endpoint's URL, `http://...` or `unix:...`. */
function target(url: string): { host: string; port: number } | { socketPath: string } {
  if (url.startsWith('unix:')) return { socketPath: url.slice(5) };
  const { hostname, port } = new URL(url);
  return { host: hostname.replace(/[[\]]/g, ''), port: Number(port) };
}

/** Sends the path unmodified. */
export function open(url: string, path: string, options: RequestOptions = {}): Promise<IncomingMessage> {
  const { body, ...rest } = options;
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const sent = request({ ...target(url), path, agent: false, ...rest }, resolve);
  sent.on('error', reject).end(body);
  return within(promise, `an answer for ${path}`);
}

export async function ask(url: string, path: string, options: RequestOptions = {}): Promise<Answer> {
  const response = await open(url, path, options);
  let body = '';
  response.setEncoding('utf8').on('data', (text: string) => {
    body += text;
  });
  await within(new Promise((resolve) => response.once('end', resolve)), `the body of ${path}`);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

export async function metricsOf(url: string): Promise<Map<string, Metric>> {
  const { status, headers, body } = await ask(url, '/metrics');
  expect(status).toBe(200);
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
  return parseMetrics(body);
}

/** A sample by its name without prefix, with labels. */
export function sampleOf(metrics: Map<string, Metric>, sample: string): number | undefined {
  const name = `kecho_pool_${sample}`;
  return metrics.get(name.replace(/\{.*/, ''))?.samples.get(name);
}

export interface Running {
  admin: ReturnType<typeof createAdmin>;
  url: string;
  port: number;
}

/** However slow the machine, answers have main's figures. */
const NEVER_LATE_MS = 60_000;

/** A listening endpoint, closed after the test. By default every response has a new snapshot. */
export async function startAdmin(source: StatusSource, options: AdminOptions = {}): Promise<Running> {
  const admin = createAdmin(source, {
    snapshotAgeMs: 0,
    lateMs: NEVER_LATE_MS,
    stuckMs: NEVER_LATE_MS,
    ...options,
  });
  onTestFinished(() => admin.close());
  const { url } = await admin.listen();
  return { admin, url, port: portOf(url) };
}

function portOf(url: string): number {
  return url.startsWith('http') ? Number(new URL(url).port) : 0;
}

const PATIENT: AdminTimeouts = {
  headersMs: 60_000,
  requestMs: 60_000,
  keepAliveMs: 60_000,
  stalledMs: 60_000,
};

/** Options of an endpoint in the test's own thread. */
export interface LocalOptions {
  /** Default: any port of 127.0.0.1. */
  listen?: string;
  snapshotAgeMs?: number;
  timeouts?: Partial<AdminTimeouts>;
  onError?: (error: Error, what: string) => void;
  /** The answer for /hand-off.json. */
  handOff?: HandOff | null;
}

/** The endpoint's HTTP server in this thread, where the test has its clock and its insides. */
export async function startEndpoint(source: StatusSource, options: LocalOptions = {}) {
  const { listen = '127.0.0.1:0', snapshotAgeMs = 0, timeouts, onError = () => {}, handOff = null } = options;
  const address = parseAdminAddress(listen);
  if (address === null) throw new Error(`no address: ${listen}`);
  const socket = await listenAt(address);
  const local: EndpointSource = {
    stuckReason: async () => null,
    notReadyReason: async () => source.notReadyReason,
    status: async () => source.status(),
    handOff: async () => handOff,
    threads: { created: 1, died: noDeaths() },
  };
  const settings = {
    files: readStaticFiles(),
    loopbackHost: '127.0.0.1',
    timeouts: { ...PATIENT, ...timeouts },
    snapshotAgeMs,
  };
  const endpoint = new Endpoint(local, settings, onError);
  await endpoint.listen(socket.fd); // which takes the descriptor
  let closing: Promise<void> | null = null;
  const close = () => {
    closing ??= endpoint.close();
    return closing;
  };
  onTestFinished(close);
  const { url } = socket;
  return { admin: { watchers: endpoint.watchers, close }, endpoint, url, port: portOf(url) };
}

/** Serves a fake status of about `bytes` bytes and counts the calls. */
export function fakeSource(bytes = 0) {
  const template = createEchoServer({ logLevel: 'silent' }).status();
  const detail = { filling: 'x'.repeat(bytes) };
  const source = {
    notReadyReason: 'starting' as StatusSource['notReadyReason'],
    asked: 0,
    status(): ServerStatus {
      source.asked++;
      return { ...template, events: [{ seq: 1, atMs: 0, kind: 'listening', detail }] };
    },
  };
  return source;
}

export interface StreamEvent {
  event: string;
  id: string | undefined;
  data: string;
}

/** A client of /events that records what it receives. */
export class EventReader {
  readonly response: IncomingMessage;
  readonly events: StreamEvent[] = [];
  text = '';
  ended = false;

  constructor(response: IncomingMessage) {
    this.response = response;
    response.setEncoding('utf8').on('data', (text: string) => this.take(text));
    response.on('close', () => {
      this.ended = true;
    });
    response.on('error', () => {}); // cut
    onTestFinished(() => {
      response.destroy();
    });
  }

  named(event: string): StreamEvent[] {
    return this.events.filter((found) => found.event === event);
  }

  statuses(): ServerStatus[] {
    return this.named('status').map(({ data }) => JSON.parse(data) as ServerStatus);
  }

  /** Stops reading, after the first frame: until then the response resumes its socket by itself. */
  async stopReading(): Promise<void> {
    await this.untilFrames(1);
    this.response.socket.pause();
  }

  async untilFrames(count: number): Promise<void> {
    await until(() => this.named('status').length >= count, `${count} frames`);
  }

  /** Blocks end with an empty line (HTML standard, 9.2.6); accepts only the fields that the endpoint uses. */
  private take(text: string): void {
    this.text += text;
    const blocks = this.text.split('\n\n');
    this.text = blocks.pop() ?? '';
    for (const block of blocks) {
      const fields = new Map(block.split('\n').map((line) => line.split(/: (.*)/s, 2) as [string, string]));
      const unknown = [...fields.keys()].filter((name) => !['retry', 'id', 'event', 'data'].includes(name));
      if (unknown.length > 0) throw new Error(`unknown fields ${JSON.stringify(unknown)}`);
      this.events.push({
        event: fields.get('event') ?? '',
        id: fields.get('id'),
        data: fields.get('data') ?? '',
      });
    }
  }
}

export async function watch(url: string, query = ''): Promise<EventReader> {
  const response = await open(url, `/events${query}`);
  if (response.statusCode !== 200) throw new Error(`/events answered ${response.statusCode}`);
  return new EventReader(response);
}
