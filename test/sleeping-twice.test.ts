/**
 * Goal: an item that sleeps, wakes and sleeps again leaves the count of running workers each time, so that the
 * others of its CPU pool go on, and nothing of it is left in the counts when it has ended.
 * Method: one CPU pool; a handler whose second sleep outlasts the test, then handlers with two short ones; bytes
 * and the pool's own figures.
 */
import { expect, it } from 'vitest';
import { connectTo } from './support/client.ts';
import { startServer } from './support/server.ts';
import { until } from './support/wait.ts';

it('the second sleep of an item does not hold up the others', async () => {
  const cpuIntensiveThreshMs = 60_000; // else the watchdog would mend it
  const service = ['sleep:1ms,sleep:60s', 'burn:0.1ms'];
  const { port } = await startServer({ cpus: 1, cpuIntensiveThreshMs, service });
  const [sleeper, other] = [await connectTo(port), await connectTo(port)];
  sleeper.send('x');
  for (let n = 0; n < 200; n++) await other.echo(`echo ${n}`);
  expect(sleeper.available).toBe(0);
});

it('items that sleep twice leave no count behind', async () => {
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
