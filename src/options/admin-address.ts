/**
 * Parses the address of the admin endpoint (`--admin`): `9090`, `127.0.0.1:9090`, `[::1]:9090`, `0.0.0.0:9090`, or a
 * Unix socket: `/run/kecho.sock`, `./kecho.sock`, `unix:kecho.sock`. Pure.
 *
 * The default host is loopback: the operator must ask for an endpoint that other machines can reach.
 */
import { isIPv6 } from 'node:net';

export type AdminAddress = { kind: 'tcp'; host: string; port: number } | { kind: 'unix'; path: string };

export const ADMIN_ADDRESS_ALLOWED =
  'a port like 9090, an address like 127.0.0.1:9090 or [::1]:9090, or the path of a Unix socket, ' +
  'which begins with /, ./ or unix: and has at most 107 bytes';

/** Size of sun_path, less the final NUL, unix(7). */
const MAX_PATH_BYTES = 107;

/** Null if `text` is not an address. */
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
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it rejects them
  if (path === '' || path.endsWith('/') || /[\0-\x1f\x7f]/.test(path)) return null;
  return Buffer.byteLength(path) > MAX_PATH_BYTES ? null : { kind: 'unix', path };
}
