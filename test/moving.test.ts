/**
 * Goal: connections that move between CPU pools all the time lose, gain and reorder no byte; a death costs at most the
 * connection in whose item it was, wherever in a move; afterwards the books of every CPU pool balance and no descriptor
 * is left.
 * Method: a byte-checked load of many connections, each of which moves at the end of its item if it is the last of its
 * batch or has left the slot. Meanwhile workers die, also in the middle of a move, and the server drains. The policy that
 * decides over moves is in balance.test.ts; here one test shows that it is used.
 */
import { describe, expect, it, onTestFinished } from 'vitest';
import type { EchoServerOptions } from '../src/index.ts';
import { EchoServer } from '../src/server/server.ts';
import { type Client, connectTo } from './support/client.ts';
import { type ThreadFaults, threadFaults, WorkerFault } from './support/faults.ts';
import { Load } from './support/load.ts';
import { descriptors } from './support/process.ts';
import { FULL, sized } from './support/size.ts';
import { until, untilSteady } from './support/wait.ts';

const CPUS = 3;
const LANES = sized(200);

interface Moving {
  server: EchoServer;
  faults: ThreadFaults;
  load: Load;
}

async function startMoving(options: EchoServerOptions): Promise<Moving> {
  const faults = threadFaults();
  const server = new EchoServer({ port: 0, logLevel: 'silent', strategy: 'cmwq', cpus: CPUS, ...options });
  onTestFinished(async () => {
    await server.close({ drainTimeoutMs: 0 });
  });
  const { port } = await server.listen();
  faults.moveAlways(CPUS);
  const load = new Load(port, LANES);
  await load.progress(2 * LANES);
  return { server, faults, load };
}

function moved(server: EchoServer): number {
  return server.stats().items.moved;
}

function deaths(server: EchoServer): number {
  const { error, outOfMemory, terminated } = server.stats().threads.died;
  return error + outOfMemory + terminated;
}

/** Makes a worker die; again and again, since its item may end without the step that the fault is in. */
async function commit(server: EchoServer, faults: ThreadFaults, fault: WorkerFault): Promise<void> {
  const before = deaths(server);
  await until(() => {
    faults.order(fault);
    return deaths(server) > before;
  }, `a death by fault ${fault}`);
  faults.order(WorkerFault.none);
}

async function terminateHolder(server: EchoServer): Promise<void> {
  const before = deaths(server);
  const holder = () => server.workers().find(({ holdsSlot }) => holdsSlot)?.id ?? 0;
  await until(() => server.terminateWorker(holder()), 'a worker to end');
  await until(() => deaths(server) > before, 'its death');
}

/** All connections are closed: nothing is left in any CPU pool, and what has moved in has moved out. */
async function expectBalanced(server: EchoServer): Promise<void> {
  await until(() => server.stats().connections.active === 0, 'all connections closed');
  const { cpuPools, items, spills } = server.stats();
  for (const pool of cpuPools) expect(pool).toMatchObject({ connections: 0, nrRunning: 0, nrActive: 0 });
  const sum = (counter: 'movedIn' | 'movedOut') => cpuPools.reduce((all, pool) => all + pool[counter], 0);
  expect([sum('movedIn'), sum('movedOut')]).toEqual([items.moved, items.moved]);
  expect(spills.inUse).toBe(0);
}

describe.each<[string, EchoServerOptions]>([
  ['that only echo', {}],
  ['whose items sleep', { service: ['burn:0.1ms', 'sleep:1ms'] }],
])('moving connections %s', (_, options) => {
  it('get each byte back', async () => {
    const { server, load } = await startMoving(options);
    const before = moved(server);
    await until(() => moved(server) > before + 10 * LANES, 'more moves');
    await load.stop();
    expect(load.lost).toBe(0);
    await expectBalanced(server);
  });

  it('are lost only with a worker that dies before they are in the other worklist', async () => {
    const openBefore = await untilSteady(() => descriptors(), 'the descriptors');
    const { server, faults, load } = await startMoving(options);
    const lost = () => server.stats().connections.closed.workerDied;
    const ways = [
      WorkerFault.throw,
      WorkerFault.diesBeforeAdd,
      WorkerFault.diesAfterAdd,
      'terminated',
    ] as const;
    for (const way of FULL ? [...ways, ...ways] : ways) {
      const [deathsBefore, lostBefore] = [deaths(server), lost()];
      await (way === 'terminated' ? terminateHolder(server) : commit(server, faults, way));
      const movedBefore = moved(server);
      await until(() => moved(server) > movedBefore + LANES, 'more moves');
      await load.progress(LANES);
      const most = way === WorkerFault.diesAfterAdd ? 0 : deaths(server) - deathsBefore;
      expect(lost() - lostBefore, `lost by way ${way}`).toBeLessThanOrEqual(most);
    }
    await load.stop();
    expect(lost()).toBe(load.lost);
    expect(lost()).toBeGreaterThan(0);
    await expectBalanced(server);
    await server.close();
    await until(() => descriptors() <= openBefore, 'the descriptors to be closed');
  });

  it('are reset one at a time when the other worklist has no room', async () => {
    const { server, faults, load } = await startMoving(options);
    await until(() => {
      faults.order(WorkerFault.epollAdd);
      return load.lost > 5;
    }, 'connections reset');
    faults.order(WorkerFault.none);
    await load.progress(LANES);
    await load.stop();
    expect(deaths(server)).toBe(0);
    expect(server.stats().connections.closed.error).toBe(load.lost);
    await expectBalanced(server);
  });

  it('are drained', async () => {
    const openBefore = await untilSteady(() => descriptors(), 'the descriptors');
    const { server, load } = await startMoving(options);
    const ending = server.close();
    await load.stop();
    await ending;
    await expectBalanced(server);
    await until(() => descriptors() <= openBefore, 'the descriptors to be closed');
  });
});

describe('connections of a CPU pool that has all the work', () => {
  it('move to the other one by themselves', async () => {
    const server = new EchoServer({ port: 0, logLevel: 'silent', cpus: 2, service: ['burn:2ms'] });
    onTestFinished(async () => {
      await server.close({ drainTimeoutMs: 0 });
    });
    const { port } = await server.listen();
    const inFirst = () => server.stats().cpuPools[0]?.connections ?? 0;
    const speakers: Client[] = [];
    while (speakers.length < 6) {
      const [before, { accepted }] = [inFirst(), server.stats().connections];
      const client = await connectTo(port);
      await until(() => server.stats().connections.accepted > accepted, 'its accept');
      if (inFirst() > before) speakers.push(client);
    }
    let stopping = false;
    const talk = async (client: Client) => {
      while (!stopping) await client.echo('x');
    };
    const talks = speakers.map(talk);
    await until(() => server.stats().items.moved > 0, 'a move');
    stopping = true;
    await Promise.all(talks);
    await until(() => {
      const [first, second] = server.stats().cpuPools;
      return first !== undefined && first.movedOut > 0 && second?.movedIn === first.movedOut;
    }, 'what has left the first to have come to the second'); // a move follows the echo
  });
});
