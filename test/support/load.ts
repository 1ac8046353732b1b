/**
 * A byte-checked load for tests that break something meanwhile. Each lane sends messages of varying length and content
 * and compares every echo; a lane whose connection is lost counts it and reconnects. `stop` throws on a wrong byte.
 */
import { createHash } from 'node:crypto';
import { Client } from './client.ts';
import { until } from './wait.ts';

export class Load {
  private readonly port: number;
  private readonly lanes: Promise<void>[] = [];
  private readonly wrong: unknown[] = [];
  private stopping = false;
  /** Connections that ended before stop(). */
  lost = 0;
  /** Echoes compared. */
  echoes = 0;

  constructor(port: number, width: number) {
    this.port = port;
    for (let lane = 0; lane < width; lane++) this.lanes.push(this.run(lane));
  }

  /** Resolves after `count` more echoes. */
  async progress(count: number): Promise<void> {
    const goal = this.echoes + count;
    await until(
      () => this.echoes >= goal,
      () => `${count} more echoes (${goal - this.echoes} to go)`,
    );
  }

  /** Closes all connections. Throws the first mismatch. */
  async stop(): Promise<void> {
    this.stopping = true;
    await Promise.all(this.lanes);
    if (this.wrong.length > 0) throw this.wrong[0];
  }

  private async run(lane: number): Promise<void> {
    for (let life = 0; !this.stopping; life++) {
      const client = new Client(this.port);
      try {
        await client.connected();
        for (let n = 0; !this.stopping; n++) await this.echoOnce(client, `${lane}.${life}.${n}`);
        await client.quit();
      } catch (error) {
        if (client.closed || client.ended) this.lost++;
        else this.wrong.push(error);
        client.socket.destroy();
      }
    }
  }

  private async echoOnce(client: Client, name: string): Promise<void> {
    const digest = createHash('sha256').update(name).digest(); // a different message for each echo
    await client.echo(Buffer.concat(Array.from({ length: 1 + (digest[0] as number) }, () => digest)));
    this.echoes++;
  }
}
