/**
 * What stands before every answer of the admin endpoint: headers that confine a browser, and the requests that
 * are turned away unread.
 *
 *   405  anything but GET and HEAD
 *   413  a request with a body
 *   421  on loopback, a Host that is neither a loopback address nor localhost: a page whose name was bound anew to
 *        127.0.0.1 (DNS rebinding) would otherwise read the figures as its own
 *   cut  a second request while the first is unanswered (pipelining): its answer would pile up in memory
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

/** A host as browsers write it, whatever its spelling: 127.1 is 127.0.0.1. Null when it is none, or more than one. */
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

/** Whether a request may carry this Host. */
export type HostCheck = (host: string) => boolean;

/** For an endpoint on loopback that was asked for under this name or address. */
export function ownHosts(asked: string): HostCheck {
  const own = new Set(['localhost', normalHost(inUrl(asked))]);
  return (text) => {
    const host = normalHost(text);
    return host !== null && (own.has(host) || isLoopbackHost(host));
  };
}

export class Guard {
  /** Null when any Host will do. */
  private readonly isOwn: HostCheck | null;
  /** Connections with an unanswered request. */
  private readonly busy = new WeakSet<Duplex>();

  constructor(isOwn: HostCheck | null) {
    this.isOwn = isOwn;
  }

  /** Sets the headers of the answer. False when it has been given already. */
  admit(request: IncomingMessage, response: ServerResponse): boolean {
    const { socket } = request;
    if (this.busy.has(socket)) {
      socket.destroy();
      return false;
    }
    this.busy.add(socket);
    response.once('close', () => this.busy.delete(socket));
    response.on('error', () => {}); // the peer's connection; it is gone
    for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
    const status = this.refusal(request);
    if (status !== null) refuse(response, status);
    return status === null;
  }

  private refusal({ method, headers }: IncomingMessage): number | null {
    if (method !== 'GET' && method !== 'HEAD') return 405;
    const { 'transfer-encoding': encoding, 'content-length': length = '0', host = '' } = headers;
    if (encoding !== undefined || Number(length) !== 0) return 413;
    return this.isOwn === null || this.isOwn(host) ? null : 421;
  }
}

const REASONS: Record<number, string> = {
  405: 'only GET and HEAD\n',
  413: 'no request may have a body\n',
  417: 'nothing is expected here\n',
  421: 'not a host name of this endpoint\n',
};

/** Ends the connection too: what may follow is not read. */
export function refuse(response: ServerResponse, status: number): void {
  if (status === 405) response.setHeader('Allow', ALLOW);
  response.setHeader('Connection', 'close');
  send(response, status, REASONS[status] ?? '');
}

export function send(response: ServerResponse, status: number, body: string | Buffer, type = TEXT): void {
  response.statusCode = status;
  response.setHeader('Content-Type', type);
  response.end(body);
}
