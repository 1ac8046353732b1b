/**
 * Goal: worker threads from dist, whose entries are bundles, work as those from source.
 * Method: the built program, if there is a build, with each entry; handlers from outside of this package.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { koffiFile } from '../src/sys/libc.ts';
import { ask, metricsOf, sampleOf } from './support/admin.ts';
import { Child, whenListening } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { until } from './support/wait.ts';

const DIST = fileURLToPath(new URL('../dist/', import.meta.url));
const ENTRIES = ['kworker', 'monitor', 'probe', 'serve-ffi', 'serve-fs'].map((name) => `${name}.cjs`);

function built(...args: string[]): Child {
  return new Child(process.execPath, [`${DIST}src/bin.js`, '--port', '0', '--no-pretty', ...args]);
}

/** A handler that runs `body` before each echo. */
function handler(text: string): string {
  const file = join(temporaryFolder(), 'handler.mjs');
  writeFileSync(file, text);
  return file;
}

it('the native part of koffi is found, which saves threads its JavaScript', () => {
  expect(koffiFile()).toMatch(/\.node$/);
});

describe.skipIf(!existsSync(`${DIST}workers`))('from dist', () => {
  it('each thread loads a single file besides the modules of Node', () => {
    expect(readdirSync(`${DIST}workers`).sort()).toEqual(ENTRIES);
    for (const entry of ENTRIES) {
      const text = readFileSync(`${DIST}workers/${entry}`, 'utf8');
      const required = [...text.matchAll(/\brequire\("([^"]+)"\)/g)].map(([, name]) => name as string);
      expect(required).toContain('node:worker_threads');
      expect(required.filter((name) => !isBuiltin(name))).toEqual([]);
    }
  });

  it.each([['kthread'], ['kthread', '--service', 'burn:1ms'], ['workqueue'], ['cmwq']])(
    'threads echo: %s %s %s',
    async (strategy, ...more) => {
      const { child, port } = await whenListening(built('--strategy', strategy, ...more));
      const client = await connectTo(port);
      await client.echo('request');
      await client.quit();
      child.signal('SIGTERM');
      expect((await child.untilEnded()).code).toBe(0);
      expect(child.stderr).toBe('');
    },
  );

  it("the admin endpoint's thread answers", async () => {
    const { child, port } = await whenListening(built('--admin', '0'));
    const { url } = (await child.line('admin')) as unknown as { url: string };
    await (await connectTo(port)).echo('request');
    await until(async () => sampleOf(await metricsOf(url), 'echoes_total') === 1, 'the echo to be counted');
    expect((await ask(url, '/')).body).toContain('<!doctype html>');
    child.signal('SIGTERM');
    await child.untilEnded();
    expect(child.stderr).toBe('');
  });

  it("a handler's blocking() passes the run slot on", async () => {
    const file = handler(`
      import { blocking } from 'kecho-pool/handler';
      const word = new Int32Array(new SharedArrayBuffer(4));
      export default () => blocking(() => Atomics.wait(word, 0, 0, 20));
    `);
    const { child, port } = await whenListening(built('--cpus', '1', '--handler', file));
    const client = await connectTo(port);
    await connectTo(port); // for which the CPU pool needs another worker
    do await client.echo('request');
    while ((await child.stats()).items.cmWakeup === 0); // until an idle worker is there
  });

  it('a setUp that fails is called once in each thread', async () => {
    const log = join(temporaryFolder(), 'calls');
    const child = built(
      '--handler',
      handler(`
        import { appendFileSync, readFileSync } from 'node:fs';
        import { threadId } from 'node:worker_threads';
        export function setUp() {
          appendFileSync(${JSON.stringify(log)}, threadId + '\\n');
          if (readFileSync(${JSON.stringify(log)}, 'utf8').split('\\n').length > 2) throw new Error('not again');
        }
        export default function work() {}
      `),
    );
    expect((await child.untilEnded()).code).toBe(2);
    const threads = readFileSync(log, 'utf8').trim().split('\n');
    expect(threads.length).toBeGreaterThan(1);
    expect(new Set(threads).size).toBe(threads.length);
    expect(child.stderr).toContain('not again');
  });
});
