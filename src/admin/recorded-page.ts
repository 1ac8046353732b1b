/**
 * The dashboard with a recording, as one HTML file that opens without a server.
 *
 * Pure. The modules become data: URLs behind an import map, with replay.js in the place of stream.js, and the frames
 * compressed text. Only base64 and what this package wrote gets into the markup, and the page's content security policy
 * lets it load nothing.
 */
import { gzipSync } from 'node:zlib';
import type { ServerStatus } from '../schema/status.ts';
import type { StaticFile } from './files.ts';
import type { HandOff } from './hand-off.ts';

export interface Frame {
  /** Since the first frame. */
  atMs: number;
  status: ServerStatus;
}

export interface Recording {
  frames: readonly Frame[];
  handOff: HandOff | null;
}

const POLICY =
  "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data:; " +
  "base-uri 'none'; form-action 'none'";

function text(files: ReadonlyMap<string, StaticFile>, path: string): string {
  const file = files.get(path);
  if (file === undefined) throw new Error(`the dashboard has no ${path}`);
  return Buffer.from(file.body).toString();
}

const base64 = (content: string | Uint8Array) => Buffer.from(content).toString('base64');

/** The modules by name: `import ... from 'dom.js'`. A relative specifier means nothing in a data: URL. */
function importMap(files: ReadonlyMap<string, StaticFile>): string {
  const names = [...files.keys()].filter((path) => path.endsWith('.js')).map((path) => path.slice(1));
  const urlOf = (name: string) => {
    const source = text(files, `/${name === 'stream.js' ? 'replay.js' : name}`);
    return `data:text/javascript;base64,${base64(source.replaceAll(" from './", " from '"))}`;
  };
  return JSON.stringify({ imports: Object.fromEntries(names.map((name) => [name, urlOf(name)])) });
}

/** Replaces a text that must be there. */
function put(page: string, from: string, to: string): string {
  if (!page.includes(from)) throw new Error(`the dashboard's page has no ${from}`);
  return page.replace(from, () => to);
}

/** `files` are the endpoint's static files. */
export function recordedPage(files: ReadonlyMap<string, StaticFile>, recording: Recording): string {
  const script = [
    `<script type="importmap">${importMap(files)}</script>`,
    `<script type="text/plain" id="recording">${base64(gzipSync(JSON.stringify(recording)))}</script>`,
    '<script type="module">import "dashboard.js";</script>',
  ].join('\n  ');
  const notice = `<p class="notice">A recording, which plays in a loop; there is no server.
    <label>Position <input id="position" type="range" min="0" max="${Math.max(0, recording.frames.length - 1)}" value="0"></label></p>`;
  let page = text(files, '/');
  page = put(
    page,
    '<meta charset="utf-8">',
    `<meta charset="utf-8">\n  <meta http-equiv="Content-Security-Policy" content="${POLICY}">`,
  );
  page = put(
    page,
    '<link rel="stylesheet" href="/dashboard.css">',
    `<style>\n${text(files, '/dashboard.css')}</style>`,
  );
  page = put(page, '<script type="module" src="/dashboard.js"></script>', script);
  return put(page, '<main>', `${notice}\n\n  <main>`);
}
