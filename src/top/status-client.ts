/**
 * Requests a server's status from its admin endpoint, and reports a failure in one line.
 *
 * Main thread only. Owns one keep-alive connection until close(). The response is bounded in time and size and checked
 * against the schema, since anything may listen on a port.
 */
import { Agent, get, type IncomingMessage } from 'node:http';
import type { AdminAddress } from '../options/admin-address.ts';
import type { ServerStatus } from '../schema/status.ts';
import { onConnect } from '../sys/self-connect.ts';

const TIMEOUT_MS = 3000;
/** Some 50 times the status of a server with 2,046 workers and 256 CPU pools. */
const MAX_BYTES = 16 * 2 ** 20;

/** Why there is no status; the message names the address and is shown to the operator. */
export class Unreachable extends Error {
  override readonly name = 'Unreachable';
}

/** The server had closed the kept-alive connection. */
class StaleConnection extends Error {
  readonly code = 'ECONNRESET';
}

export class StatusClient {
  private readonly agent = new Agent({ keepAlive: true, maxSockets: 1 });
  private readonly address: AdminAddress;
  private readonly text: string;

  constructor(address: AdminAddress, text: string) {
    this.address = address;
    this.text = text;
  }

  /** Rejects with Unreachable; also when `signal` is aborted. */
  async status(signal?: AbortSignal): Promise<ServerStatus> {
    const timeout = AbortSignal.timeout(TIMEOUT_MS);
    const body = await this.body(signal === undefined ? timeout : AbortSignal.any([signal, timeout])).catch(
      (error: unknown) => {
        throw error instanceof Unreachable ? error : new Unreachable(this.failure(error, timeout.aborted));
      },
    );
    const status = parsed(body);
    const problem = status === undefined ? 'not JSON' : await problemOfStatus(status);
    if (problem === null) return status as ServerStatus; // with the fields that a newer server adds
    throw new Unreachable(this.foreign(`unexpected response: ${problem}`));
  }

  close(): void {
    this.agent.destroy();
  }

  /** Retries once when the server has just closed the idle connection: http.ClientRequest.reusedSocket. */
  private async body(signal: AbortSignal): Promise<string> {
    try {
      return await this.ask(signal);
    } catch (error) {
      if (!(error instanceof StaleConnection)) throw error;
      return await this.ask(signal);
    }
  }

  private ask(signal: AbortSignal): Promise<string> {
    const { address, agent } = this;
    const target =
      address.kind === 'unix' ? { socketPath: address.path } : { host: address.host, port: address.port };
    return new Promise((resolve, reject) => {
      const request = get({ ...target, path: '/status.json', agent, signal }, (response) => {
        if (response.statusCode === 200) read(response).then(resolve, reject);
        else {
          response.resume();
          reject(new Unreachable(this.foreign(`HTTP ${response.statusCode} for /status.json`)));
        }
      });
      request.on('socket', (socket) => {
        if (socket.connecting) onConnect(socket);
      });
      request.on('error', (error: NodeJS.ErrnoException) => {
        reject(request.reusedSocket && error.code === 'ECONNRESET' ? new StaleConnection() : error);
      });
    });
  }

  private failure(error: unknown, timedOut: boolean): string {
    if (timedOut) return `${this.text} did not answer within ${TIMEOUT_MS / 1000} s`;
    const code = (error as NodeJS.ErrnoException).code ?? 'no reason given';
    return code.startsWith('HPE_')
      ? this.foreign('it does not speak HTTP')
      : `cannot reach ${this.text} (${code})`;
  }

  private foreign(why: string): string {
    return `${this.text} is not a kecho-pool admin endpoint (${why})`;
  }
}

async function read(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    chunks.push(chunk as Buffer); // no encoding is set
    length += (chunk as Buffer).length;
    if (length > MAX_BYTES) throw Object.assign(new Error('too long'), { code: 'EMSGSIZE' });
  }
  return Buffer.concat(chunks).toString();
}

/** Loads the schemas, which takes some 60 ms, only now: `bench` seldom asks for a status. */
async function problemOfStatus(value: unknown): Promise<string | null> {
  const [json, status] = await Promise.all([import('../schema/json.ts'), import('../schema/status.ts')]);
  return json.problemOf(status.ServerStatus, value);
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    return undefined;
  }
}
