/**
 * The peers of the connections, as workers and main see them.
 */
import type { ServiceStep } from '../../src/memory/layout.ts';

/** What the handler of a connection does: a service, which may also sleep without declaring it. */
export interface SimService {
  cpuIntensive: boolean;
  steps: readonly (ServiceStep | { kind: 'undeclared'; durationMs: number })[];
}

export interface Peers {
  /** Whether a request or the peer's FIN is pending. */
  readable(fd: number): boolean;
  /** recv: a request, EOF or EAGAIN. */
  receive(fd: number): 'request' | 'end' | 'again';
  /** send: the answer to the last request received. */
  answered(fd: number): void;
  service(fd: number): SimService | undefined;
  /** Main has closed the descriptor: after EOF, or because its worker died. */
  closed(fd: number, how: 'eof' | 'lost'): void;
}
