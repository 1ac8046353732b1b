/**
 * Goal: the status shows how many connections wait in each worklist, and for how long.
 * Method: one CPU pool that runs one item at a time, which sleeps until the server stops: whatever other clients send
 * then waits. Of times only lower bounds are asserted.
 */
import { expect, it } from 'vitest';
import { CONN_ID, CONNECTIONS_HIGH, SharedState, STOP } from '../src/memory/layout.ts';
import { MAX_CONNECTIONS, worklistFigures } from '../src/pool/worklists.ts';
import { connectTo } from './support/client.ts';
import { startServer, untilActive } from './support/server.ts';
import { until } from './support/wait.ts';

it('counts what is ready and in no item, until it is served or the server stops', async () => {
  const { server, port } = await startServer({ cpus: 1, maxActive: 1, service: ['sleep:600s'] });
  const clients = [];
  for (let i = 0; i < 4; i++) clients.push(await connectTo(port));
  await untilActive(server, 4);
  expect(server.status().worklists).toEqual([{ waiting: 0, longestMs: 0 }]); // no client has sent anything
  const first = clients.pop();
  first?.socket.write('served');
  const worklists = await until(() => {
    const { stats, worklists } = server.status();
    return stats.items.started === 1 && worklists?.[0]?.waiting === 0 && worklists; // it is counted before it begins
  }, 'an item');
  expect(worklists).toEqual([{ waiting: 0, longestMs: 0 }]);
  first?.socket.write('belongs to the item');
  clients.pop()?.socket.write('waits');
  clients.pop()?.socket.write('waits');
  await until(() => server.status().worklists?.[0]?.waiting === 2, 'both to wait');
  await until(() => (server.status().worklists?.[0]?.longestMs ?? 0) >= 100, 'them to wait for 100 ms');
  await server.close({ drainTimeoutMs: 0 });
  expect(server.status().worklists).toEqual([{ waiting: 0, longestMs: 0 }]);
});

it('counts a client that ends its connection, without a time', async () => {
  const { server, port } = await startServer({ cpus: 1, maxActive: 1, service: ['sleep:600s'] });
  const [busy, ending] = [await connectTo(port), await connectTo(port)];
  await untilActive(server, 2);
  busy.socket.write('served');
  await until(() => server.status().stats.items.started === 1, 'an item');
  ending.socket.end();
  await until(() => server.status().worklists?.[0]?.waiting === 1, 'it to wait');
  expect(server.status().worklists).toEqual([{ waiting: 1, longestMs: 0 }]);
});

it('is empty without CPU pools', async () => {
  const { server } = await startServer({ strategy: 'workqueue', workers: 1 });
  expect(server.status().worklists).toEqual([]);
});

it('does not look at more than MAX_CONNECTIONS', () => {
  const fdLimit = MAX_CONNECTIONS + 10;
  const shared = SharedState.create({ cpus: 1, workers: 1, fdLimit, spills: 0 });
  for (let fd = 1; fd <= MAX_CONNECTIONS + 1; fd++) shared.connDoubles[shared.connDouble(fd, CONN_ID)] = fd;
  shared.words[CONNECTIONS_HIGH] = MAX_CONNECTIONS + 1;
  expect(worklistFigures(shared)).toBeNull();
  shared.words[STOP] = 1;
  expect(worklistFigures(shared)).toEqual([{ waiting: 0, longestMs: 0 }]);
});
