/**
 * The other ends of the connections, as a worker sees them.
 */
import type { ServiceSpec } from '../../src/memory/layout.ts';

export interface Peers {
  /** Whether recv would find something: a request or the peer's FIN. */
  readable(fd: number): boolean;
  /** recv: a request, the end, or nothing. */
  receive(fd: number): 'request' | 'end' | 'again';
  /** send: the answer to the request that was received last. */
  answered(fd: number): void;
  service(fd: number): ServiceSpec | undefined;
  /** Main has closed the descriptor: at the peer's end, or because its worker died. */
  closed(fd: number, how: 'eof' | 'lost'): void;
}
