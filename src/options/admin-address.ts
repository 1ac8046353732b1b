/**
 * Where the admin endpoint listens, from the text of `--admin`: `9090`, `127.0.0.1:9090`, `[::1]:9090`,
 * `0.0.0.0:9090`, or a Unix socket: `/run/kecho.sock`, `./kecho.sock`, `unix:kecho.sock`. Pure.
 *
 * Without a host it is loopback: the operator must ask to be reachable from elsewhere.
 */
import { isIPv6 } from 'node:net';

export type AdminAddress = { kind: 'tcp'; host: string; port: number } | { kind: 'unix'; path: string };

export const ADMIN_ADDRESS_ALLOWED =
  'a port like 9090, an address like 127.0.0.1:9090 or [::1]:9090, or a path of at most 107 bytes ' +
  'for a Unix socket that begins with /, ./ or unix:';

/** sun_path of unix(7), less its final 0. */
const MAX_PATH_BYTES = 107;

/** Null when `text` is not an address. */
export function parseAdminAddress(text: string): AdminAddress | null {
  if (/^(?:\/|\.\/|unix:)/.test(text)) return parsePath(text.replace(/^unix:/, ''));
  const match = /^(?:\[([^[\]\s]+)\]:|([^:[\]\s/]{1,253}):)?(\d{1,5})$/.exec(text);
  if (match === null) return null;
  const [, v6, name, digits] = match;
  const port = Number(digits);
  if (port > 65535 || (v6 !== undefined && !isIPv6(v6))) return null;
  return { kind: 'tcp', host: v6 ?? name ?? '127.0.0.1', port };
}

function parsePath(path: string): AdminAddress | null {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in it
  if (path === '' || path.endsWith('/') || /[\0-\x1f\x7f]/.test(path)) return null;
  return Buffer.byteLength(path) > MAX_PATH_BYTES ? null : { kind: 'unix', path };
}
