/**
 * The paths of the admin endpoint and what each answers.
 *
 * Main thread only. Figures come from a snapshot of the server, shared by all who ask within a moment (snapshots.ts); /livez
 * and /readyz need none, so that no figure can make them fail. Nothing of a request gets into an answer.
 */
import type { ServerResponse } from 'node:http';
import type { ServerStatus } from '../schema/status.ts';
import type { StaticFile } from './files.ts';
import { send } from './guard.ts';
import { type Snapshots, Turnstile } from './snapshots.ts';
import { EVENT_STREAM, MAX_HZ, MAX_WATCHERS, type Watchers } from './watchers.ts';

/** The server as the endpoint sees it: EchoServer. */
export interface StatusSource {
  /** Why it cannot serve now, in words; null when it can. Must not fail. */
  readonly notReadyReason: string | null;
  status(): ServerStatus;
}

export interface RoutesParts {
  source: StatusSource;
  snapshots: Snapshots;
  /** Of /metrics. */
  metricsType: string;
  watchers: Watchers;
  files: ReadonlyMap<string, StaticFile>;
  /** Answering failed: a defect. */
  onError: (error: Error) => void;
}

/** Answers a GET or HEAD; of a HEAD Node sends no body. */
type Route = (response: ServerResponse, query: URLSearchParams) => void | Promise<void>;

function makeRoutes({ source, snapshots, metricsType, watchers, files }: RoutesParts): Map<string, Route> {
  const turnstile = new Turnstile();
  const routes = new Map<string, Route>();
  routes.set('/livez', (response) => send(response, 200, 'alive\n'));
  routes.set('/readyz', (response) => {
    const reason = source.notReadyReason;
    send(response, reason === null ? 200 : 503, `${reason ?? 'listening'}\n`);
  });
  routes.set('/metrics', async (response) => {
    await turnstile.pass();
    send(response, 200, await snapshots.recent().metrics, metricsType);
  });
  routes.set('/status.json', async (response) => {
    await turnstile.pass();
    send(response, 200, snapshots.recent().json, 'application/json');
  });
  routes.set('/events', (response, query) => sendEvents(response, query, watchers));
  for (const [path, { body, type }] of files) routes.set(path, (response) => send(response, 200, body, type));
  const paths = [...routes.keys()].join('\n');
  if (!routes.has('/')) routes.set('/', (response) => send(response, 200, `${paths}\n`));
  return routes;
}

function sendEvents(response: ServerResponse, query: URLSearchParams, watchers: Watchers): void {
  const { method, headers } = response.req;
  const hz = query.get('hz') ?? String(MAX_HZ);
  const from = headers['sec-fetch-site'] ?? 'none';
  if (!/^[1-9]\d?$/.test(hz) || Number(hz) > MAX_HZ) send(response, 400, `hz is 1 to ${MAX_HZ}\n`);
  // A page of another site could not read the frames, but it could take the places of those who can.
  else if (from !== 'same-origin' && from !== 'none') send(response, 403, 'not from another site\n');
  else if (watchers.isFull)
    send(response.setHeader('Retry-After', '5'), 503, `at most ${MAX_WATCHERS} clients\n`);
  else if (method === 'HEAD') response.writeHead(200, EVENT_STREAM).end();
  else if (!watchers.add(response, Number(hz))) send(response, 500, 'internal error\n');
}

/** Answers what the guard has admitted. */
export function makeAnswerer(parts: RoutesParts): (response: ServerResponse) => Promise<void> {
  const routes = makeRoutes(parts);
  return async (response) => {
    const { url: target = '' } = response.req;
    const url = URL.parse(target.startsWith('/') ? `http://localhost${target}` : target);
    const route = routes.get(url?.pathname ?? '');
    try {
      if (url === null || route === undefined) send(response, 404, 'not found\n');
      else await route(response, url.searchParams);
    } catch (error) {
      parts.onError(error as Error);
      send(response, 500, 'internal error\n');
    }
  };
}
