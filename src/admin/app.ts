/**
 * The paths of the admin endpoint and what each answers.
 *
 * Main thread only. Figures come from a snapshot of the server, shared by all who ask within a moment (snapshots.ts); /livez
 * and /readyz need none, so that no figure can make them fail. Nothing of a request gets into an answer.
 */
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import type { ServerStatus } from '../server/status.ts';
import type { StaticFile } from './files.ts';
import { type Snapshots, Turnstile } from './snapshots.ts';
import { EVENT_STREAM, MAX_HZ, MAX_WATCHERS, type Watchers } from './watchers.ts';

/** The server as the endpoint sees it: EchoServer. */
export interface StatusSource {
  /** Why it cannot serve now, in words; null when it can. Must not fail. */
  readonly notReadyReason: string | null;
  status(): ServerStatus;
}

export interface AppParts {
  source: StatusSource;
  snapshots: Snapshots;
  /** Of /metrics. */
  metricsType: string;
  watchers: Watchers;
  files: ReadonlyMap<string, StaticFile>;
  /** Answering failed: a defect. */
  onError: (error: Error) => void;
}

export type AdminApp = Hono<{ Bindings: HttpBindings }>;

const PATHS = '/livez /readyz /metrics /status.json /status.schema.json /events';

export function buildApp(parts: AppParts): AdminApp {
  const { source, snapshots, metricsType, watchers, files, onError } = parts;
  const turnstile = new Turnstile();
  const app: AdminApp = new Hono();
  app.get('/livez', (c) => c.text('alive\n'));
  app.get('/readyz', (c) => {
    const reason = source.notReadyReason;
    return reason === null ? c.text('listening\n') : c.text(`${reason}\n`, 503);
  });
  app.get('/metrics', async (c) => {
    await turnstile.pass();
    return c.body(await snapshots.recent().metrics, 200, { 'Content-Type': metricsType });
  });
  app.get('/status.json', async (c) => {
    await turnstile.pass();
    return c.body(snapshots.recent().json, 200, { 'Content-Type': 'application/json' });
  });
  app.get('/events', (c) => {
    const hz = c.req.query('hz') ?? String(MAX_HZ);
    if (!/^[1-9]\d?$/.test(hz) || Number(hz) > MAX_HZ) return c.text(`hz is 1 to ${MAX_HZ}\n`, 400);
    // A page of another site could not read the frames, but it could take the places of those who can.
    const from = c.req.header('sec-fetch-site') ?? 'none';
    if (from !== 'same-origin' && from !== 'none') return c.text('not from another site\n', 403);
    if (watchers.isFull) return c.text(`at most ${MAX_WATCHERS} clients\n`, 503, { 'Retry-After': '5' });
    if (c.req.method === 'HEAD') return c.body(null, 200, EVENT_STREAM);
    return watchers.add(c.env.outgoing, Number(hz)) ? RESPONSE_ALREADY_SENT : c.text('internal error\n', 500);
  });
  for (const [path, { body, type }] of files) {
    app.get(path, (c) => c.body(body, 200, { 'Content-Type': type }));
  }
  if (!files.has('/')) app.get('/', (c) => c.text(`${PATHS.replaceAll(' ', '\n')}\n`));
  app.notFound((c) => c.text('not found\n', 404));
  app.onError((error, c) => {
    onError(error);
    return c.text('internal error\n', 500);
  });
  return app;
}
