/**
 * Goal: new connections go where there is least to do, whatever silent connections there are; with affinity scope `cpu`,
 * to the CPU pool of the processor that handles their packets, whose worker runs on that processor.
 * Method: plain memory and a virtual clock; then servers, with clients pinned to a processor by taskset(1), and the
 * kernel's masks of the workers' threads.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { UsageError } from '../src/index.ts';
import { CONNECTIONS } from '../src/memory/layout.ts';
import { Placement } from '../src/pool/placement.ts';
import { affinityOf, cpusOf, mainCpus } from '../src/sys/affinity.ts';
import { libc } from '../src/sys/libc.ts';
import { BIN, Child, startBin, whenListening } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { startServer, untilActive } from './support/server.ts';
import { fresh } from './support/slot-memory.ts';
import { until } from './support/wait.ts';

const FD = 100;
const CPUS = mainCpus();

function scenario(pools: number) {
  const s = fresh(1, 0, pools);
  const clock = { ms: 0 };
  const cpuTimesMs = new Array<number>(pools).fill(0);
  const placement = new Placement({
    shared: s,
    clock: { now: () => clock.ms },
    cpuTimesMs: () => cpuTimesMs.slice(),
  });
  const connect = (pool: number, count: number) => Atomics.add(s.words, s.poolWord(pool, CONNECTIONS), count);
  const work = (pool: number, ms: number) => {
    cpuTimesMs[pool] = (cpuTimesMs[pool] as number) + ms;
  };
  /** How many of `count` new connections each pool gets. */
  const place = (count: number): number[] => {
    const placed = new Array<number>(pools).fill(0);
    for (let i = 0; i < count; i++) {
      const pool = placement.choose(FD);
      connect(pool, 1);
      placed[pool] = (placed[pool] as number) + 1;
    }
    return placed;
  };
  /** `count` connections one after another, each closed before the next one comes. */
  const churn = (count: number) => {
    for (let i = 0; i < count; i++) placement.choose(FD);
  };
  return { clock, churn, connect, place, work };
}

describe('the CPU pool of a new connection', () => {
  it('does not depend on silent connections, but for the first of them', () => {
    const { connect, place } = scenario(2);
    connect(1, 500);
    expect(place(200)).toEqual([100, 100]);
  });

  it('is the one with the fewest connections where nothing happens', () => {
    const { clock, place } = scenario(3);
    const placed = [0, 1, 2].map(() => {
      clock.ms += 60_000;
      return place(1);
    });
    expect(placed).toEqual([
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ]);
  });

  it('is the one that has worked less of late', () => {
    const { clock, connect, place, work } = scenario(2);
    connect(0, 10);
    connect(1, 10);
    work(0, 100);
    work(1, 200);
    clock.ms += 20;
    // The average, 300 ms / 20 and less for each further connection, makes 203 ms of the 100 after eight.
    expect(place(8)).toEqual([8, 0]);
    expect(place(2)).toEqual([1, 1]);
  });

  it.each([1, 10_000])('is the one that has worked less, whatever has come and gone: %i', (count) => {
    const { churn, clock, connect, place, work } = scenario(2);
    connect(0, 10);
    connect(1, 10);
    work(0, 500);
    work(1, 500);
    clock.ms += 20;
    churn(count);
    clock.ms += 2000;
    work(0, 500);
    expect(place(4)).toEqual([0, 4]);
  });

  it('was busy long ago, and that does not count', () => {
    const { clock, connect, place, work } = scenario(2);
    connect(0, 10);
    connect(1, 10);
    work(0, 10_000);
    clock.ms += 20;
    expect(place(1)).toEqual([0, 1]);
    clock.ms += 60_000;
    expect(place(1)).toEqual([1, 0]);
  });

  it('is not decided by a client that opens many connections and closes every second one', async () => {
    const { server, port } = await startServer({ cpus: 2 });
    const silent = await Promise.all(Array.from({ length: 100 }, () => connectTo(port)));
    await untilActive(server, 100);
    for (const client of silent.filter((_, i) => i % 2 === 0)) await client.quit();
    await untilActive(server, 50);
    const before = server.stats().cpuPools.map(({ connections }) => connections);
    const honest = await Promise.all(Array.from({ length: 40 }, () => connectTo(port)));
    await untilActive(server, 90);
    const placed = server.stats().cpuPools.map(({ connections }, pool) => connections - (before[pool] ?? 0));
    for (const count of placed) expect(Math.abs(count - 20)).toBeLessThanOrEqual(10);
    for (const client of [...silent, ...honest]) await client.quit();
  });
});

/** A client on one processor that sends a byte after each echo, until the test ends. Resolves once it has got one. */
async function connectOn(cpu: number, port: number): Promise<() => Promise<void>> {
  const code = `const socket = require('node:net').connect(${port}, '127.0.0.1');
    socket.on('data', () => { console.log('echo'); setTimeout(() => socket.write('x'), 1); }).write('x');`;
  const child = spawn('taskset', ['-c', String(cpu), process.execPath, '-e', code], { stdio: 'pipe' });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  const next = async () => {
    await once(child.stdout, 'data');
  };
  await next();
  return next;
}

function allowedOfThreads(pid: number): Set<string | undefined> {
  const allowed = readdirSync(`/proc/${pid}/task`).map(
    (tid) => /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync(`/proc/${pid}/task/${tid}/status`, 'utf8'))?.[1],
  );
  return new Set(allowed);
}

describe('affinity scope cpu', () => {
  it.each(CPUS)('a connection is served on the processor that handles its packets: %i', async (cpu) => {
    const { server, port } = await startServer({ cpus: CPUS.length, affinityScope: 'cpu' });
    for (let i = 0; i < 3; i++) await connectOn(cpu, port);
    const pools = server.stats().cpuPools.map(({ connections }) => connections);
    expect(pools).toEqual(CPUS.map((other) => (other === cpu ? 3 : 0)));
    // The slot may be passed on at any time, to a worker that moves to the processor then.
    await until(() => {
      const worker = server.workers().find(({ holdsSlot }) => holdsSlot);
      if (worker === undefined) return false;
      expect(worker.pool).toBe(CPUS.indexOf(cpu));
      return String(cpusOf(affinityOf(worker.tid ?? 0) ?? new Uint8Array(0))) === String(cpu);
    }, 'the holder of the slot to run there');
  });

  it('connections stay in their CPU pools', async () => {
    const { server, port } = await startServer({ cpus: 2, affinityScope: 'cpu', service: ['burn:1ms'] });
    const clients = await Promise.all(Array.from({ length: 10 }, () => connectTo(port)));
    for (let i = 0; i < 20; i++) await Promise.all(clients.map((client) => client.echo('x')));
    expect(server.stats().items.moved).toBe(0);
    for (const client of clients) await client.quit();
  });

  it('only uses the processors that the operator allows', async () => {
    const cpu = CPUS.at(-1) as number; // there is one
    const args = ['-c', String(cpu), process.execPath, BIN, '--port', '0', '--no-pretty'];
    const { child, port } = await whenListening(
      new Child('taskset', [...args, '--cpus', '2', '--affinity-scope', 'cpu']),
    );
    const clients = await Promise.all(Array.from({ length: 4 }, () => connectTo(port)));
    for (const client of clients) await client.echo('x');
    expect(allowedOfThreads(child.pid)).toEqual(new Set([String(cpu)]));
    for (const client of clients) await client.quit();
  });

  it('follows what the operator allows while it runs', async () => {
    const { child, port } = await startBin([
      '--cpus',
      '2',
      '--affinity-scope',
      'cpu',
      '--service',
      'sleep:2ms',
    ]);
    const clients: (() => Promise<void>)[] = [];
    for (const cpu of [...CPUS, ...CPUS, ...CPUS]) clients.push(await connectOn(cpu, port));
    const first = String(CPUS[0]);
    execFileSync('taskset', ['-acp', first, String(child.pid)]);
    const rounds = async () => {
      for (let i = 0; i < 20; i++) await Promise.all(clients.map((next) => next()));
      return allowedOfThreads(child.pid);
    };
    await until(async () => String([...(await rounds())]) === first, 'all threads to keep to the first');
    execFileSync('taskset', ['-acp', CPUS.join(','), String(child.pid)]);
    await until(async () => {
      const allowed = await rounds();
      return CPUS.every((cpu) => allowed.has(String(cpu)));
    }, 'a worker on each');
  });

  it('is refused before the server starts where the kernel refuses sched_setaffinity(2)', async () => {
    const table = libc as { sched_setaffinity: typeof libc.sched_setaffinity };
    const { sched_setaffinity } = table;
    onTestFinished(() => {
      table.sched_setaffinity = sched_setaffinity;
    });
    table.sched_setaffinity = () => -1;
    await expect(startServer({ affinityScope: 'cpu' })).rejects.toThrow(
      new UsageError('affinityScope', 'cpu', 'only system, as the kernel refuses sched_setaffinity(2) here'),
    );
  });
});
