/**
 * Goal: an item that sleeps, wakes and sleeps again leaves the count of running workers each time, so that the other
 * items of its CPU pool run, and after its end nothing of it stays counted.
 * Method: one CPU pool; a handler whose second sleep outlasts the test, then handlers with two short sleeps; bytes
 * and the pool's figures.
 */
import { expect, it } from 'vitest';
import { connectTo } from './support/client.ts';
import { startServer } from './support/server.ts';
import { until } from './support/wait.ts';

it('the second sleep of an item does not delay the others', async () => {
  const cpuIntensiveThreshMs = 60_000; // else the monitor would correct it
  const service = ['sleep:1ms,sleep:60s', 'burn:0.1ms'];
  const { port } = await startServer({ cpus: 1, cpuIntensiveThreshMs, service });
  const [sleeper, other] = [await connectTo(port), await connectTo(port)];
  sleeper.send('x');
  for (let n = 0; n < 200; n++) await other.echo(`echo ${n}`);
  expect(sleeper.available).toBe(0);
});

it('items that sleep twice do not stay counted', async () => {
  const { server, port } = await startServer({ cpus: 1, service: ['sleep:20ms,sleep:20ms'] });
  const clients = await Promise.all(Array.from({ length: 4 }, () => connectTo(port)));
  for (let round = 0; round < 5; round++) {
    await Promise.all(clients.map((client, i) => client.echo(`round ${round} of ${i}`)));
  }
  const pool = () => server.stats().cpuPools[0];
  await until(
    () => pool()?.nrActive === 0 && pool()?.nrRunning === 0,
    () => `the pool to be at rest: ${JSON.stringify(pool())}`,
  );
  expect(pool()?.connections).toBe(4);
  for (const client of clients) await client.quit();
});
