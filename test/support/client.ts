/**
 * A TCP client for tests. It keeps received bytes until the test takes them, records the end and error of its
 * connection, and reports what it waited for on a timeout. Every socket is destroyed after the test.
 */
import { connect, type Socket } from 'node:net';
import { expect, onTestFinished } from 'vitest';
import { onConnect } from '../../src/sys/self-connect.ts';
import { within } from './wait.ts';

export interface ConnectOptions {
  host?: string;
  localAddress?: string;
  /** Written before the connection is established, so that it arrives with it. */
  first?: Uint8Array;
  /** Sends the FIN right after `first`. */
  thenEnd?: boolean;
}

export class Client {
  readonly socket: Socket;
  /** The server's FIN has arrived. */
  ended = false;
  closed = false;
  /** Code of the error that ended the connection, if any. */
  errorCode: string | null = null;
  private chunks: Buffer[] = [];
  private waitingBytes = 0;
  private changed = Promise.withResolvers<void>();

  constructor(port: number, options: ConnectOptions = {}) {
    const { host = '127.0.0.1', localAddress } = options;
    const from = localAddress === undefined ? {} : { localAddress };
    this.socket = connect({ port, host, ...from, allowHalfOpen: true, noDelay: true });
    onConnect(this.socket, () => this.notify());
    this.socket.on('data', (chunk: Buffer) => {
      this.chunks.push(chunk);
      this.waitingBytes += chunk.length;
      this.notify();
    });
    this.socket.on('drain', () => this.notify());
    this.socket.on('end', () => {
      this.ended = true;
      this.notify();
    });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.errorCode = error.code ?? error.message;
    });
    this.socket.on('close', () => {
      this.closed = true;
      this.notify();
    });
    if (options.first !== undefined) this.socket.write(options.first);
    if (options.thenEnd === true) this.socket.end();
  }

  /** Bytes received and not yet taken. */
  get available(): number {
    return this.waitingBytes;
  }

  /** Resolves once connected; rejects on failure. */
  async connected(): Promise<this> {
    await this.when(() => this.closed || !this.socket.connecting, 'the connection');
    if (this.errorCode !== null) throw new Error(`connecting failed: ${this.errorCode}`);
    return this;
  }

  send(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  /** Sends, and resolves once the socket accepts more or is closed. */
  async sendDrained(bytes: Uint8Array): Promise<void> {
    if (this.socket.write(bytes)) return;
    await this.when(() => !this.socket.writableNeedDrain || this.closed, 'room to send', 60_000);
  }

  /** Sends the FIN; reading continues. */
  end(): void {
    this.socket.end();
  }

  /**
   * Ends the connection at once: with a reset, or by closing it when a FIN waits behind unsent bytes, since libuv then
   * refuses to reset and Node leaves the descriptor open (uv_tcp_close_reset in libuv's documentation).
   */
  reset(): void {
    const { socket } = this;
    if (socket.writableEnded && !socket.writableFinished) socket.destroy();
    else socket.resetAndDestroy();
  }

  /** Takes exactly `length` bytes. Rejects when the connection ends first. */
  async readExactly(length: number): Promise<Buffer> {
    await this.when(() => this.waitingBytes >= length || this.ended || this.closed, `${length} bytes`);
    if (this.waitingBytes < length) {
      throw new Error(
        `the connection ended after ${this.waitingBytes} of ${length} bytes: ${this.errorCode}`,
      );
    }
    const all = Buffer.concat(this.chunks);
    this.chunks = length < all.length ? [all.subarray(length)] : [];
    this.waitingBytes = all.length - length;
    return all.subarray(0, length);
  }

  /** Takes everything up to the server's FIN. Rejects when the connection ends with an error instead. */
  async readToEnd(): Promise<Buffer> {
    await this.when(() => this.ended || this.closed, "the server's FIN");
    if (!this.ended) throw new Error(`the connection ended without a FIN: ${this.errorCode}`);
    return this.readExactly(this.waitingBytes);
  }

  /** Sends `bytes` and checks their echo. */
  async echo(bytes: Uint8Array | string): Promise<void> {
    this.send(bytes);
    expectBytes(await this.readExactly(Buffer.byteLength(bytes)), bytes);
  }

  /** Ends in order and checks that only the server's FIN follows. */
  async quit(): Promise<void> {
    this.end();
    expectBytes(await this.readToEnd(), '');
    await this.untilClosed();
    expect(this.errorCode).toBeNull();
  }

  /** Resolves when the connection is closed; see `errorCode`. */
  untilClosed(): Promise<void> {
    return this.when(() => this.closed, 'the end of the connection');
  }

  /** Resolves when the server has ended the connection, in order or not. */
  untilOver(): Promise<void> {
    return this.when(() => this.ended || this.closed, 'the end from the server');
  }

  untilAvailable(length: number): Promise<void> {
    return this.when(() => this.waitingBytes >= length, `${length} bytes to arrive`);
  }

  private notify(): void {
    this.changed.resolve();
    this.changed = Promise.withResolvers();
  }

  private when(condition: () => boolean, what: string, timeoutMs?: number): Promise<void> {
    const look = async () => {
      while (!condition()) await this.changed.promise;
    };
    return within(look(), () => `${what} (${this.state()})`, timeoutMs);
  }

  private state(): string {
    return `available ${this.waitingBytes}, ended ${this.ended}, closed ${this.closed}`;
  }
}

/** A connected client, destroyed when the test has finished. */
export async function connectTo(port: number, options: ConnectOptions = {}): Promise<Client> {
  const client = new Client(port, options);
  onTestFinished(() => {
    client.socket.destroy();
  });
  return client.connected();
}

/** Compares; prints only the first difference. */
export function expectBytes(actual: Buffer, expected: Uint8Array | string): void {
  const wanted = Buffer.from(expected);
  if (actual.equals(wanted)) return;
  let at = 0;
  while (at < actual.length && actual[at] === wanted[at]) at++;
  const around = (bytes: Buffer) => bytes.subarray(at, at + 16).toString('hex');
  expect.fail(
    `${actual.length} bytes where ${wanted.length} were expected; the first difference is at ${at}: ` +
      `${around(actual) || 'end'} instead of ${around(wanted) || 'end'}`,
  );
}

/** The byte at a position of the test pattern, which has no period that buffers or messages could share. */
export function patternByte(position: number): number {
  return (position * 31 + (position >>> 8) * 17 + (position >>> 16) * 7 + (position >>> 24) * 3) & 0xff;
}

/** `length` bytes of the pattern from position `start` on. */
export function pattern(length: number, start = 0): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) bytes[i] = patternByte(start + i);
  return bytes;
}
