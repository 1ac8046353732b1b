/**
 * The static files of the admin endpoint: the dashboard and the status schema, read once at start.
 *
 * Requests are looked up in a map; client input never becomes a file name.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { extname } from 'node:path';

export interface StaticFile {
  body: Uint8Array;
  type: string;
}

/** Beside this module, in dist too: the build copies them. */
const DASHBOARD = new URL('./dashboard/', import.meta.url);
const SCHEMA = new URL('./status.schema.json', import.meta.url);

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
};

function read(file: URL, type: string): StaticFile {
  return { body: readFileSync(file), type };
}

function namesIn(folder: URL): string[] {
  try {
    return readdirSync(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []; // the endpoint works without a dashboard
    throw error;
  }
}

/** By request path; `/` is the dashboard's index.html. */
export function readStaticFiles(dashboard: URL = DASHBOARD): ReadonlyMap<string, StaticFile> {
  const files = new Map([['/status.schema.json', read(SCHEMA, 'application/schema+json')]]);
  for (const name of namesIn(dashboard)) {
    const type = TYPES[extname(name)];
    if (type === undefined || !/^[\w.-]+$/.test(name)) continue;
    files.set(name === 'index.html' ? '/' : `/${name}`, read(new URL(name, dashboard), type));
  }
  return files;
}
