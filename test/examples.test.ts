/**
 * Goal: the example programs work, and the example handlers under every strategy, whatever happens to their threads.
 * Method: each serves clients through a worker's death and a drain; every byte is checked, and then what is left:
 * descriptors, files, programs. `npm run test:full` runs each under each strategy.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Child } from './support/child.ts';
import { type Client, connectTo, expectBytes, pattern } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { listening } from './support/listening.ts';
import { measured } from './support/load-bench.ts';
import { descriptors } from './support/process.ts';
import { STRATEGIES, startServer } from './support/server.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const FOLDER = fileURLToPath(new URL('../examples/handlers/', import.meta.url));
const CLIENTS = 4;
const OPTIONS = { kthread: {}, workqueue: { workers: CLIENTS }, cmwq: { cpus: 2 } };

/** Where the handlers make their files. */
function filesFolder(): string {
  const folder = temporaryFolder();
  process.env.TMPDIR = folder;
  onTestFinished(() => {
    delete process.env.TMPDIR;
  });
  return folder;
}

function children(): string {
  return readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim();
}

async function echoAll(clients: readonly Client[]): Promise<void> {
  for (const length of [1, 1000, 20_000]) {
    const bytes = pattern(length);
    await Promise.all(clients.map((client) => client.echo(bytes)));
  }
}

async function connect(port: number, count: number): Promise<Client[]> {
  return Promise.all(Array.from({ length: count }, () => connectTo(port)));
}

describe.each(readdirSync(FOLDER))('%s', (file) => {
  it.each(FULL || file === 'fsync.ts' ? STRATEGIES : (['cmwq'] as const))(
    'serves through a death and a drain, and leaves nothing behind, under %s',
    async (strategy) => {
      const [folder, before] = [filesFolder(), { descriptors: descriptors(), children: children() }];
      const { server, port } = await startServer({
        strategy,
        ...OPTIONS[strategy],
        handler: FOLDER + file,
      });
      const clients = await connect(port, CLIENTS);
      await echoAll(clients);
      const victim = () => server.workers().find(({ state }) => state === 'onDuty')?.id ?? 0;
      await until(() => server.terminateWorker(victim()), 'a worker to end');
      await until(() => server.stats().threads.died.terminated === 1, 'the death');
      const { workerDied } = server.stats().connections.closed;
      await until(
        () => clients.filter(({ closed }) => closed).length === workerDied,
        'its connection to end',
      );
      const rest = clients.filter(({ closed }) => !closed);
      expect(rest.length).toBeGreaterThanOrEqual(CLIENTS - 1);
      await echoAll(rest);

      const received = server.stats().bytesIn;
      for (const client of rest) client.send('last');
      await until(() => server.stats().bytesIn === received + 4 * rest.length, 'the last requests');
      const closing = server.close({ drainTimeoutMs: 30_000 });
      for (const client of rest) expectBytes(await client.readExactly(4), 'last');
      await Promise.all(rest.map((client) => client.quit()));
      expect(await closing).toEqual({ cut: 0, threadsEnded: true });
      expect(server.stats().connections.closed).toMatchObject({
        handlerError: 0,
        eof: rest.length,
        workerDied,
      });
      expect(readdirSync(folder)).toEqual([]);
      await until(() => children() === before.children, 'its programs to end');
      await until(() => descriptors() <= before.descriptors, 'the descriptors to be closed');
    },
  );
});

describe('programs', () => {
  const EXAMPLES = fileURLToPath(new URL('../examples/', import.meta.url));

  async function served(child: Child): Promise<void> {
    await until(() => /^listening.* \d+\n/.test(child.stdout), 'the port');
    const client = await connectTo(Number(/^listening.* (\d+)\n/.exec(child.stdout)?.[1]));
    await client.echo('an example');
    await client.quit();
  }

  it.each(['embed/server.ts', 'embed/admin.ts'])('%s serves until SIGTERM', async (file) => {
    const child = new Child(process.execPath, [EXAMPLES + file]);
    await served(child);
    const [, url] = /^dashboard: (.*)$/m.exec(child.stdout) ?? [];
    if (url !== undefined) expect((await fetch(`${url}livez`)).status).toBe(200);
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });

  it('embed/inherited.ts serves the socket of a service manager', async () => {
    const { fd } = listening();
    const env = { LISTEN_FDS: '1' };
    const child = new Child(process.execPath, [`${EXAMPLES}embed/inherited.ts`], { inherited: fd, env });
    await served(child);
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 0, signal: null });
  });

  it('compare/own-server.ts is measured by bench', async () => {
    const child = new Child(process.execPath, [`${EXAMPLES}compare/own-server.ts`]);
    await served(child);
    const port = String(/\d+/.exec(child.stdout)?.[0]);
    const { run } = await measured('--mode', 'burst', '--clients', '3', '--requests', '5', port);
    expect([run.errorTotal, run.response.count]).toEqual([0, 15]);
  });
});
