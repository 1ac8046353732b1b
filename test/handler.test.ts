/**
 * Goal: the operator's handler runs before each echo under every strategy, in threads that set it up and tear it down,
 * and the echo is what it would be without.
 * Method: handlers that check what they get, that append their threads' lives to a file, and that sleep; assertions on
 * bytes, lines and counters.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { GivenOptions } from '../src/options/index.ts';
import { startBin } from './support/child.ts';
import { type Client, connectTo, pattern } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { handlerFile } from './support/handlers.ts';
import { roundTrip, startManaged, UNWATCHED } from './support/managed-server.ts';
import { STRATEGIES, type StrategyName, startServer } from './support/server.ts';
import { until } from './support/wait.ts';

/** Every thread that is not needed ends soon. */
const SMALL: Record<StrategyName, GivenOptions> = {
  kthread: {},
  workqueue: { workers: 2 },
  cmwq: { cpus: 1, idleTimeoutMs: 20 },
};

describe.each(STRATEGIES)('%s', (strategy) => {
  it.each(['copy.ts', 'copy.ts#noParameters'])('echoes the same bytes whatever %s does', async (name) => {
    const { port } = await startServer({ strategy, handler: handlerFile(name) });
    const client = await connectTo(port);
    for (const length of [1, 1000, 65536, 200_000]) await client.echo(pattern(length));
    await client.quit();
  });

  it('passes a copy of the request, the number of the connection, and the number of the request', async () => {
    const { server, port } = await startServer({ strategy, handler: handlerFile('copy.ts#numbered') });
    for (const id of [1, 2]) {
      const client = await connectTo(port);
      for (let n = 1; n <= 3; n++) await client.echo(`request ${n} of ${id}`);
      await client.quit();
    }
    expect(server.stats().connections.closed.handlerError).toBe(0);
    const client = await connectTo(port);
    client.send('another text'); // shows that the handler checks
    await client.untilClosed();
    await until(() => server.stats().connections.closed.handlerError === 1, 'it to be counted');
  });

  it('loses the connection in whose handler a worker dies, and no other', async () => {
    const { server, port } = await startServer({ strategy, handler: handlerFile('sleeps.ts') });
    const other = await connectTo(port);
    await other.echo('before');
    const client = await connectTo(port);
    client.send('long');
    const asleep = () => server.workers().find(({ connection }) => connection === 2);
    await until(() => asleep() !== undefined && server.stats().echoes === 2, 'the handler to begin');
    server.terminateWorker(asleep()?.id ?? 0);
    await client.untilClosed();
    expect(client.errorCode).toBe('ECONNRESET');
    expect(server.stats().connections.closed).toMatchObject({ workerDied: 1, handlerError: 0 });
    await other.echo('after');
  });
});

/** Threads that the handler's file lists, with what happened in each. */
function livesIn(file: string): string[] {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  const threads = Map.groupBy(lines, (line) => line.split(' ')[0]);
  return [...threads.values()].map((of) => of.map((line) => line.split(' ')[1]).join(' '));
}

function livesFile(): string {
  const file = join(temporaryFolder(), 'lives');
  writeFileSync(file, '');
  process.env.HANDLER_LIVES = file;
  onTestFinished(() => {
    delete process.env.HANDLER_LIVES;
  });
  return file;
}

const WHOLE_LIFE = /^up( request)* down$/;

describe('threads', () => {
  it.each(STRATEGIES)('set up once and tear down in order, under %s', async (strategy) => {
    const file = livesFile();
    const handler = handlerFile('lives.mjs');
    const { server, port } = await startServer({ ...SMALL[strategy], strategy, handler });
    for (let i = 0; i < 3; i++) {
      const client = await connectTo(port);
      await client.echo('one');
      await client.echo('two');
      await client.quit();
    }
    const waiting = await connectTo(port); // a thread of kthread and workqueue is in recv at the stop
    await waiting.echo('three');
    await server.close({ drainTimeoutMs: 0 });
    const lives = livesIn(file);
    const monitor = strategy === 'cmwq' ? 1 : 0; // runs no handler
    expect(lives.length).toBe(server.stats().threads.created - monitor + 1); // and the thread that tried the module
    expect(lives[0]).toBe('up down');
    for (const life of lives) expect(life).toMatch(WHOLE_LIFE);
    expect(lives.join(' ').match(/request/g)?.length).toBe(7);
    expect(server.stats().threads.died).toEqual({ error: 0, outOfMemory: 0, terminated: 0 });
  });

  it('of kthread tear down when their connection has ended', async () => {
    const file = livesFile();
    const { port } = await startServer({ strategy: 'kthread', handler: handlerFile('lives.mjs') });
    const client = await connectTo(port);
    await client.echo('one');
    await client.quit();
    await until(
      () => livesIn(file).length === 2 && livesIn(file).every((life) => WHOLE_LIFE.test(life)),
      'down',
    );
  });

  it('of cmwq tear down when they are culled', async () => {
    const file = livesFile();
    const handler = handlerFile('lives.mjs');
    const { server, connect } = await startManaged({ ...UNWATCHED, idleTimeoutMs: 20, handler });
    const clients = await connect(6);
    while (server.stats().threads.created < 8) await roundTrip(clients); // all asleep at once
    const down = () => livesIn(file).filter((life) => WHOLE_LIFE.test(life)).length;
    await until(() => server.stats().threads.culled > 0 && down() > 1, 'a culled one to tear down');
    expect(server.stats().threads.died).toEqual({ error: 0, outOfMemory: 0, terminated: 0 });
  });

  it('do not tear down when they die', async () => {
    const file = livesFile();
    const { server, port } = await startServer({ ...SMALL.cmwq, handler: handlerFile('lives.mjs') });
    const client = await connectTo(port);
    await client.echo('one');
    await until(
      () => server.stats().items.completed > 0,
      'the end of the item, whose connection would be lost',
    );
    const worker = () => server.workers().find(({ state }) => state === 'onDuty' || state === 'idle');
    await until(() => server.terminateWorker(worker()?.id ?? 0), 'a worker to end');
    await until(() => server.stats().threads.died.terminated === 1, 'its death');
    await client.echo('two');
    await server.close({ drainTimeoutMs: 0 });
    expect(livesIn(file).filter((life) => !WHOLE_LIFE.test(life)).length).toBe(1);
  });
});

describe('a declared sleep', () => {
  it('hands the run slot on, and returns the result of the sleep', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, handler: handlerFile('sleeps.ts') });
    const clients = await connect(5);
    const kicks = async () => {
      const before = server.stats().items.cmWakeup;
      await roundTrip(clients);
      return server.stats().items.cmWakeup - before;
    };
    while ((await kicks()) < 4); // all five asleep at once: there are enough threads, and none slept too shortly
    expect(server.stats().connections.closed.handlerError).toBe(0);
  });

  it('that throws ends its connection, not its worker', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, handler: handlerFile('sleeps.ts') });
    const [failing, other] = (await connect(2)) as [Client, Client];
    failing.send('throw in sleep');
    await failing.untilClosed();
    expect(failing.errorCode).toBe('ECONNRESET');
    for (let i = 0; i < 5; i++) await other.echo('request'); // awake again: it hands the slot on
    await until(() => server.stats().workers.finishing === 0, 'the end of the item');
    await until(() => server.stats().cpuPools[0]?.connections === 1, 'main to learn of it');
    expect(server.stats().threads.died).toEqual({ error: 0, outOfMemory: 0, terminated: 0 });
  });

  it.each(['kthread', 'workqueue'] as const)('only sleeps under %s', async (strategy) => {
    const { server, port } = await startServer({ strategy, handler: handlerFile('sleeps.ts') });
    const client = await connectTo(port);
    await client.echo('request');
    expect(server.stats().items.cmWakeup).toBe(0);
    await client.quit();
  });
});

describe('a module outside of this package', () => {
  it.each([
    ['work.mjs', "import { blocking } from 'kecho-pool/handler'; export default () => blocking(() => {});"],
    [
      'work.cjs',
      "const { blocking } = require('kecho-pool/handler'); module.exports = () => blocking(() => {});",
    ],
  ])('finds kecho-pool/handler: %s', async (name, text) => {
    const handler = join(temporaryFolder(), name);
    writeFileSync(handler, text);
    const { server, port } = await startServer({ handler });
    const client = await connectTo(port);
    await client.echo('request');
    expect(server.stats().connections.closed.handlerError).toBe(0);
    await client.quit();
  });
});

describe('a stop', () => {
  it.each(STRATEGIES)('in the middle of a handler lets it end, under %s', async (strategy) => {
    const { server, port } = await startServer({ strategy, handler: handlerFile('sleeps.ts') });
    const client = await connectTo(port);
    client.send('long');
    await until(() => server.stats().echoes === 1, 'the handler to begin');
    const closing = server.close({ drainTimeoutMs: 60_000 });
    expect((await client.readExactly(4)).toString()).toBe('long');
    client.end();
    expect(await closing).toEqual({ cut: 0, threadsEnded: true });
  });
});

it('is named in the log line "listening", the effective options, and the status', async () => {
  const { child, listening } = await startBin(['--handler', 'copy.ts#numbered'], { cwd: handlerFile('') });
  expect(listening.handler).toBe(handlerFile('copy.ts#numbered'));
  child.signal('SIGTERM');
  expect((await child.untilEnded()).code).toBe(0);
  const { server } = await startServer({ handler: handlerFile('copy.ts') });
  expect(server.status().handler).toBe(handlerFile('copy.ts'));
});
