/**
 * The routes of the admin endpoint.
 *
 * Runs on the endpoint's thread. Figures come from a snapshot shared by concurrent clients (snapshots.ts); /livez and
 * /readyz use no snapshot, so they cannot fail with it. No part of a request is copied into a response.
 */
import type { ServerResponse } from 'node:http';
import type { ServerStatus } from '../schema/status.ts';
import type { StaticFile } from './files.ts';
import { send } from './guard.ts';
import type { HandOff } from './hand-off.ts';
import type { AdminThreads } from './series.ts';
import type { Snapshots } from './snapshots.ts';
import { EVENT_STREAM, MAX_HZ, MAX_WATCHERS, type Watchers } from './watchers.ts';

/** The echo server as the endpoint's thread sees it. */
export interface EndpointSource {
  /** Why the server is stuck, as text; null when it is alive. Never rejects. */
  stuckReason(): Promise<string | null>;
  /** Why the server cannot serve now, as text; null when it can. Never rejects. */
  notReadyReason(): Promise<string | null>;
  /** Rejects when no status can be taken. */
  status(): Promise<ServerStatus>;
  /** One hand-off, recorded now; null if none begins soon. */
  handOff(): Promise<HandOff | null>;
  readonly threads: AdminThreads;
}

export interface RouteContext {
  source: EndpointSource;
  snapshots: Snapshots;
  /** Content-Type of /metrics. */
  metricsType: string;
  watchers: Watchers;
  files: ReadonlyMap<string, StaticFile>;
  /** Called when a route throws, which is a defect. */
  onError: (error: Error) => void;
}

/** Answers a GET or HEAD; Node drops the body for HEAD. */
type Route = (response: ServerResponse, query: URLSearchParams) => void | Promise<void>;

function makeRoutes({ source, snapshots, metricsType, watchers, files }: RouteContext): Map<string, Route> {
  const routes = new Map<string, Route>();
  routes.set('/livez', async (response) => sendHealth(response, await source.stuckReason(), 'alive'));
  routes.set('/readyz', async (response) => sendHealth(response, await source.notReadyReason(), 'listening'));
  routes.set('/metrics', async (response) => {
    const { metrics } = await snapshots.recent();
    send(response, 200, await metrics, metricsType);
  });
  routes.set('/status.json', async (response) => {
    const { json } = await snapshots.recent();
    send(response, 200, json, 'application/json');
  });
  routes.set('/hand-off.json', async (response) => {
    if (refuseCrossSite(response)) return;
    send(response, 200, JSON.stringify(await source.handOff()), 'application/json');
  });
  routes.set('/events', (response, query) => sendEvents(response, query, watchers));
  for (const [path, { body, type }] of files) routes.set(path, (response) => send(response, 200, body, type));
  const paths = [...routes.keys()].join('\n');
  if (!routes.has('/')) routes.set('/', (response) => send(response, 200, `${paths}\n`));
  return routes;
}

function sendHealth(response: ServerResponse, failure: string | null, success: string): void {
  send(response, failure === null ? 200 : 503, `${failure ?? success}\n`);
}

/** A page of another site cannot read the answer, but it could use up places and time of clients that can. */
function refuseCrossSite(response: ServerResponse): boolean {
  const site = response.req.headers['sec-fetch-site'] ?? 'none';
  if (site === 'same-origin' || site === 'none') return false;
  send(response, 403, 'cross-site requests refused\n');
  return true;
}

async function sendEvents(
  response: ServerResponse,
  query: URLSearchParams,
  watchers: Watchers,
): Promise<void> {
  const { method } = response.req;
  const hz = query.get('hz') ?? String(MAX_HZ);
  if (!/^[1-9]\d?$/.test(hz) || Number(hz) > MAX_HZ) send(response, 400, `hz must be 1 to ${MAX_HZ}\n`);
  else if (refuseCrossSite(response)) return;
  else if (watchers.isFull)
    send(response.setHeader('Retry-After', '5'), 503, `at most ${MAX_WATCHERS} clients\n`);
  else if (method === 'HEAD') response.writeHead(200, EVENT_STREAM).end();
  else if (!(await watchers.add(response, Number(hz)))) send(response, 500, 'internal error\n');
}

/** Handles requests that the guard has admitted. */
export function makeRequestHandler(context: RouteContext): (response: ServerResponse) => Promise<void> {
  const routes = makeRoutes(context);
  return async (response) => {
    const { url: target = '' } = response.req;
    const url = URL.parse(target.startsWith('/') ? `http://localhost${target}` : target);
    const route = routes.get(url?.pathname ?? '');
    try {
      if (url === null || route === undefined) send(response, 404, 'not found\n');
      else await route(response, url.searchParams);
    } catch (error) {
      context.onError(error as Error);
      send(response, 500, 'internal error\n');
    }
  };
}
