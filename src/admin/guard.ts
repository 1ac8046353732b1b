/**
 * Runs before every response of the admin endpoint: sets the headers that confine a browser, and refuses requests
 * before they are routed.
 *
 *   405  anything but GET and HEAD
 *   413  a request with a body
 *   421  on loopback, a Host that is neither a loopback address nor localhost: a page whose name was rebound to
 *        127.0.0.1 (DNS rebinding) could otherwise read the figures as same-origin
 *   cut  a second request while the first is unanswered (pipelining): responses would pile up in memory
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIPv4, isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';

const HEADERS: Readonly<Record<string, string>> = {
  'Content-Security-Policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Cache-Control': 'no-store',
};

export const ALLOW = 'GET, HEAD';
const TEXT = 'text/plain; charset=utf-8';

/** The host in URL normal form (127.1 becomes 127.0.0.1); null when it is malformed. */
function normalHost(hostAndPort: string): string | null {
  if (/[/?#@\\]/.test(hostAndPort)) return null;
  const url = URL.parse(`http://${hostAndPort}`);
  return url === null ? null : url.hostname.replace(/\.$/, '');
}

function inUrl(address: string): string {
  return isIPv6(address) ? `[${address}]` : address;
}

const MAPPED_LOOPBACK = /^\[::ffff:7f[\da-f]{2}:[\da-f]{1,4}\]$/;

function isLoopbackHost(host: string): boolean {
  return host === '[::1]' || MAPPED_LOOPBACK.test(host) || (isIPv4(host) && host.startsWith('127.'));
}

export function isLoopback(address: string): boolean {
  return isLoopbackHost(normalHost(inUrl(address)) ?? '');
}

/** Whether a request may have this Host. */
export type HostCheck = (host: string) => boolean;

/** For an endpoint on loopback; `configured` is the name or address that it was given. */
export function loopbackHosts(configured: string): HostCheck {
  const names = new Set(['localhost', normalHost(inUrl(configured))]);
  return (text) => {
    const host = normalHost(text);
    return host !== null && (names.has(host) || isLoopbackHost(host));
  };
}

export class Guard {
  /** Null: any Host is allowed. */
  private readonly isAllowedHost: HostCheck | null;
  /** Connections with an unanswered request. */
  private readonly busy = new WeakSet<Duplex>();

  constructor(isAllowedHost: HostCheck | null) {
    this.isAllowedHost = isAllowedHost;
  }

  /** Sets the response headers. False when the request was refused or cut. */
  admit(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request;
    if (this.busy.has(socket)) {
      socket.destroy();
      return false;
    }
    this.busy.add(socket);
    response.once('close', () => this.busy.delete(socket));
    response.on('error', () => {}); // the peer has gone
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const status = this.refusal(request);
    if (status !== null) refuse(response, status);
    return status === null;
  }

  private refusal({ method, headers }: IncomingMessage): number | null {
    if (method !== 'GET' && method !== 'HEAD') return 405;
    const { 'transfer-encoding': encoding, 'content-length': length = '0', host = '' } = headers;
    if (encoding !== undefined || Number(length) !== 0) return 413;
    return this.isAllowedHost === null || this.isAllowedHost(host) ? null : 421;
  }
}

const REASONS: Record<number, string> = {
  405: 'only GET and HEAD\n',
  413: 'requests must not have a body\n',
  417: 'the Expect header is not supported\n',
  421: 'not a host name of this endpoint\n',
};

/** Closes the connection too: anything that follows is not read. */
export function refuse(response: ServerResponse, status: number): void {
  if (status === 405) response.setHeader('Allow', ALLOW);
  response.setHeader('Connection', 'close');
  send(response, status, REASONS[status] ?? '');
}

export function send(response: ServerResponse, status: number, body: string | Uint8Array, type = TEXT): void {
  response.statusCode = status;
  response.setHeader('Content-Type', type);
  response.end(body);
}
