/**
 * Goal: a peer that sends and does not read costs the server a bounded amount of memory, delays no other client, and
 * gets every byte in order once it reads.
 * Method: the program as a child process, so that its memory can be measured. The client sends 64 MiB of a pattern
 * without reading until the server takes no more; then it reads and checks each byte. The order of pending bytes and
 * FIN is tested on a server in this process, whose counters tell when it is stuck.
 */
import { describe, expect, it } from 'vitest';
import type { EchoServer } from '../src/index.ts';
import { BUFFER_BYTES } from '../src/memory/layout.ts';
import { startBin } from './support/child.ts';
import { type Client, connectTo, expectBytes, pattern, patternByte } from './support/client.ts';
import { residentKib } from './support/process.ts';
import { STRATEGIES, startServer, untilActive } from './support/server.ts';
import { until, untilSteady } from './support/wait.ts';

const MIB = 1 << 20;
const TOTAL_BYTES = 64 * MIB;
/** Limit of the server's growth while it is sent 64 MiB: its heaps vary, and another thread may have been created. */
const MAX_GROWTH_KIB = 32 * 1024;

/** A server that has not sent everything after this time is waiting for the peer. */
const STUCK_MS = 300;

/** Sends the pattern piece by piece, as fast as the server takes it, and then a FIN. */
async function sendPattern(client: Client): Promise<void> {
  for (let sent = 0; sent < TOTAL_BYTES; sent += MIB) await client.sendDrained(pattern(MIB, sent));
  client.end();
}

/** Checks bytes against the pattern and drops them; keeps the position of the first wrong one. */
function checkPattern(client: Client): { position: number; wrongAt: number } {
  const seen = { position: 0, wrongAt: -1 };
  client.socket.removeAllListeners('data');
  client.socket.on('data', (chunk: Buffer) => {
    for (const byte of chunk) {
      if (byte !== patternByte(seen.position) && seen.wrongAt < 0) seen.wrongAt = seen.position;
      seen.position++;
    }
  });
  return seen;
}

/** Whether the server could send back everything received. */
function echoesAll(server: EchoServer, sent: number): Promise<boolean> {
  return until(() => server.stats().bytesOut === sent, 'all to be sent', STUCK_MS).then(
    () => true,
    () => false,
  );
}

describe.each(STRATEGIES)('%s', (strategy) => {
  it('bounds the memory for a client that sends 64 MiB and does not read', async () => {
    const { child, port } = await startBin(['--strategy', strategy]);
    const [other, slow] = [await connectTo(port), await connectTo(port)];
    for (const client of [other, slow]) await client.echo('before'); // their threads exist
    const beforeKib = residentKib(child.pid);
    const seen = checkPattern(slow);
    slow.socket.pause();
    const sending = sendPattern(slow);
    const takenBytes = await untilSteady(async () => (await child.stats()).bytesIn, 'the bytes taken');
    expect(takenBytes).toBeLessThan(TOTAL_BYTES / 2);
    const spills = strategy === 'cmwq' ? 1 : 0;
    await until(async () => (await child.stats()).spills.inUse === spills, `${spills} spills`);
    for (let i = 0; i < 20; i++) await other.echo(pattern(5000, i)); // other clients are served
    expect(seen.position).toBe(0);
    expect(residentKib(child.pid) - beforeKib).toBeLessThan(MAX_GROWTH_KIB);

    slow.socket.resume();
    await until(() => slow.ended || slow.closed, 'everything to come back');
    await sending;
    expect(seen).toEqual({ position: TOTAL_BYTES, wrongAt: -1 });
    expect(residentKib(child.pid) - beforeKib).toBeLessThan(MAX_GROWTH_KIB);
    const stats = await child.stats();
    expect(stats.spills.inUse).toBe(0);
    expect(stats.bytesOut).toBe(stats.bytesIn);
  });

  it('answers a FIN only after the bytes that waited for the peer', async () => {
    const { server, port } = await startServer({ strategy });
    const client = await connectTo(port);
    client.socket.pause();
    // One buffer at a time until the server cannot send all of it: it has received everything by then.
    let sent = 0;
    do {
      client.send(pattern(BUFFER_BYTES, sent));
      sent += BUFFER_BYTES;
      await until(() => server.stats().bytesIn === sent, 'the server to receive it');
    } while (await echoesAll(server, sent));
    client.end(); // so the FIN is all that the server can still receive
    await untilSteady(() => server.stats().bytesOut, 'the bytes sent');
    client.socket.resume();
    expectBytes(await client.readToEnd(), pattern(sent));
    await untilActive(server, 0);
    expect(server.stats()).toMatchObject({ bytesOut: sent, spills: { inUse: 0 } });
    expect(server.stats().connections.closed).toMatchObject({ eof: 1, error: 0 });
  });
});
