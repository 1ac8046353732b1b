/**
 * What stands before every answer of the admin endpoint: headers that confine a browser, and the requests that
 * are turned away unread.
 *
 *   405  anything but GET and HEAD
 *   413  a request with a body
 *   421  on loopback, a Host that is not this machine's: a page whose name was bound anew to 127.0.0.1 (DNS
 *        rebinding) would otherwise read the figures as its own
 *   cut  a second request while the first is unanswered (pipelining): its answer would pile up in memory
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isIP } from 'node:net';
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

export function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\./.test(address);
}

/** Host names that a request to this bound address may carry; null when any may. `asked` is the name of --admin. */
export function allowedHosts(bound: string, asked: string): ReadonlySet<string> | null {
  if (!isLoopback(bound)) return null;
  const own = [bound, asked].map((host) => (isIP(host) === 6 ? `[${host}]` : host.toLowerCase()));
  return new Set(['localhost', '127.0.0.1', '[::1]', ...own]);
}

export class Guard {
  private readonly hosts: ReadonlySet<string> | null;
  /** Connections with an unanswered request. */
  private readonly busy = new WeakSet<Duplex>();

  constructor(hosts: ReadonlySet<string> | null) {
    this.hosts = hosts;
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
    if (status === null) return true;
    refuse(response, status);
    return false;
  }

  private refusal({ method, headers }: IncomingMessage): number | null {
    if (method !== 'GET' && method !== 'HEAD') return 405;
    const { 'transfer-encoding': encoding, 'content-length': length = '0', host = '' } = headers;
    if (encoding !== undefined || Number(length) !== 0) return 413;
    const name = host.replace(/:\d*$/, '').toLowerCase();
    return this.hosts === null || this.hosts.has(name) ? null : 421;
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
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', Connection: 'close' });
  response.end(REASONS[status]);
}
