/**
 * Goal: a handler that fails ends its own connection; one that cannot be used is refused before the server listens, in
 * one line.
 * Method: handlers that fail in the way that the request names, and modules that cannot be loaded; the command, and the
 * API. `npm run test:full` starts the command with each of those modules, `npm test` with two.
 */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createEchoServer, UsageError } from '../src/index.ts';
import { runBin, startBin } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { temporaryFolder } from './support/folder.ts';
import { handlerFile } from './support/handlers.ts';
import { recordingLogger } from './support/log-output.ts';
import { startManaged, UNWATCHED } from './support/managed-server.ts';
import { STRATEGIES, startServer } from './support/server.ts';
import { FULL } from './support/size.ts';
import { until } from './support/wait.ts';

const FAILED = 'handler failed; connection reset';
const FAILED_AGAIN = 'handler failed again; connections reset';

describe.each(STRATEGIES)('%s: a handler that fails', (strategy) => {
  it('resets its connection, and no other; the first error is logged with its stack, others are counted', async () => {
    const { lines, logger } = recordingLogger('warn');
    const { server, connect } = await startManaged({ strategy, handler: handlerFile('fails.cjs') }, logger);
    const [other] = await connect(1);
    await other?.echo('fine');
    const requests = ['error', 'text', 'promise', 'error', 'error'];
    for (const [i, request] of requests.entries()) {
      const [client] = await connect(1);
      client?.send(request);
      await client?.untilClosed();
      expect(client?.errorCode).toBe('ECONNRESET');
      expect(client?.available).toBe(0);
      await until(() => server.stats().connections.closed.handlerError === i + 1, 'it to be counted');
      if (i === 0) await until(() => lines.length === 1, 'the log line');
    }
    await other?.echo('still fine');
    expect(server.stats().threads.died).toEqual({ error: 0, outOfMemory: 0, terminated: 0 });
    await server.close({ drainTimeoutMs: 0 });
    expect(lines[0]).toMatchObject({ msg: FAILED, connection: 2 });
    expect(lines[0]?.error).toMatch(/^Error: no such order \\u001b\[2J\n +at .*fails\.cjs:/);
    expect(lines.slice(1).map(({ msg }) => msg)).toEqual([FAILED_AGAIN]);
    expect(lines[1]).toMatchObject({ times: requests.length - 1 });
  });

  it.each([
    ['text', /^\{ order: 'a\\+x1B\[2Jb' \}/],
    ['promise', /^TypeError: a handler must be synchronous, but returned a promise\n +at /],
  ])('by %s says so', async (request, error) => {
    const { lines, logger } = recordingLogger('warn');
    const { connect } = await startManaged({ strategy, handler: handlerFile('fails.cjs') }, logger);
    const [client] = await connect(1);
    client?.send(request);
    await until(() => lines.length === 1, 'the log line');
    expect(lines[0]?.error).toMatch(error);
    expect(String(lines[0]?.error)).not.toContain('\u001b');
  });
});

describe.each(['kthread', 'cmwq'] as const)('%s: a handler beyond its heap', (strategy) => {
  it('is the death of its worker, which loses its connection only', async () => {
    const handlerHeapBytes = 32 * 2 ** 20;
    const handler = handlerFile('fails.cjs');
    const { server, port } = await startServer({ strategy, handler, handlerHeapBytes });
    const other = await connectTo(port);
    await other.echo('before');
    const client = await connectTo(port);
    client.send('memory');
    await client.untilClosed();
    expect(client.errorCode).toBe('ECONNRESET');
    await until(() => server.stats().threads.died.outOfMemory === 1, 'its death');
    expect(server.stats().connections.closed.workerDied).toBe(1);
    await other.echo('after');
  });
});

describe('cmwq', () => {
  it('terminates only the worker whose handler never ends, with hangKill', async () => {
    const { server, port } = await startServer({
      cpus: 1,
      hangTimeoutMs: 1000,
      hangKill: true,
      handler: handlerFile('fails.cjs'),
    });
    const other = await connectTo(port);
    const client = await connectTo(port);
    client.send('loop');
    await until(() => server.stats().items.cpuIntensive === 1, 'it to lose the slot');
    await other.echo('meanwhile');
    await client.untilClosed();
    expect(client.errorCode).toBe('ECONNRESET');
    await other.echo('afterwards');
    expect(server.stats()).toMatchObject({ items: { hung: 1 }, threads: { died: { terminated: 1 } } });
  });

  it('resets the connection of an item that has lost the slot before it fails', async () => {
    const { server, connect } = await startManaged({ ...UNWATCHED, handler: handlerFile('sleeps.ts') });
    const [client] = await connect(1);
    client?.send('throw in sleep');
    await client?.untilClosed();
    expect(client?.errorCode).toBe('ECONNRESET');
    await until(() => server.stats().items.completed === 1, 'the end of the item');
    expect(server.stats().cpuPools[0]).toMatchObject({ connections: 0, nrActive: 0, nrRunning: 0 });
  });

  it('survives a handler that ends its thread', async () => {
    const { server, port } = await startServer({ cpus: 1, handler: handlerFile('fails.cjs') });
    const client = await connectTo(port);
    client.send('exit');
    await client.untilClosed();
    await until(() => server.stats().connections.closed.workerDied === 1, 'its death');
    const next = await connectTo(port);
    await next.echo('served');
  });
});

it('logs an error of tearDown', async () => {
  const { lines, logger } = recordingLogger('warn');
  const { server } = await startManaged({ cpus: 1, handler: handlerFile('tear-down-throws.mjs') }, logger);
  await server.close();
  const texts = lines.map(({ msg, error }) => `${msg}: ${String(error).split('\n', 1)[0]}`);
  expect(new Set(texts)).toEqual(new Set(['tearDown of the handler failed: Error: tearDown: still in use']));
});

/** A module that must not be in the repository, as it is not valid. */
function invalid(name: string, text: string): string {
  const file = join(temporaryFolder(), name);
  writeFileSync(file, text);
  return file;
}

const TOO_SLOW = /: it does not load within 10 s$/;

const UNUSABLE: [name: string, file: () => string, reason: RegExp][] = [
  ['no such file', () => handlerFile('none.ts'), /: no such file$/],
  ['a folder', () => handlerFile(''), /: no such file$/],
  [
    'a syntax error',
    () => invalid('a.mjs', 'export default function ( {\n'),
    /cannot be loaded: SyntaxError: Unexpected end of input$/, // Node does not tell where
  ],
  [
    'a syntax error in TypeScript',
    () => invalid('a.ts', 'export default function () {\n  const n: number = ;\n}\n'),
    /cannot be loaded: SyntaxError: Expression expected \(a\.ts:2:21\)$/,
  ],
  [
    'a syntax error in CommonJS',
    () => invalid('a.cjs', '\nmodule.exports = () => {\n  const n = ;\n}\n'),
    /cannot be loaded: SyntaxError: Unexpected token ';' \(a\.cjs:3:13\)$/,
  ],
  [
    'a syntax error in a module that it imports',
    () => {
      const file = invalid('a.ts', "import './b.ts';\nexport default () => {};\n");
      writeFileSync(join(dirname(file), 'b.ts'), '\n\nenum A { B }\n');
      return file;
    },
    /SyntaxError: .*enum.* \(b\.ts:3:1\)$/,
  ],
  [
    'JSON that does not parse',
    () => invalid('a.mjs', "JSON.parse('{x');\n"),
    /SyntaxError: Expected property name .* \(line 1 column 2\)$/,
  ],
  ['a module that it lacks', () => invalid('a.mjs', "import './no.mjs';\n"), /loaded: Cannot find module '/],
  [
    'no such export',
    () => handlerFile('copy.ts#other'),
    /: no export "other"; it exports the functions: default, noParameters, numbered$/,
  ],
  [
    'no default export',
    () => handlerFile('broken.mjs'),
    /: no export "default"; it exports the functions: asynchronous$/,
  ],
  ['no function', () => handlerFile('broken.mjs#number'), /: its export "number" is not a function; /],
  [
    'an async function',
    () => handlerFile('broken.mjs#asynchronous'),
    /is an async function, but handlers are plain/,
  ],
  [
    'a generator function',
    () => invalid('a.mjs', 'export default function* () {}'),
    /is a generator function, but handlers are plain/,
  ],
  ['setUp throws', () => handlerFile('set-up-throws.mjs'), /: setUp: no database$/],
  ['setUp returns a promise', () => handlerFile('set-up-waits.mjs'), /setUp must be synchronous/],
  ['top-level await', () => handlerFile('awaits.mjs'), /: it uses top-level await/],
  [
    'it ends its thread',
    () => handlerFile('exits.mjs'),
    /: it ends its thread while it loads \(exit code 7\)$/,
  ],
  ['its memory', () => handlerFile('memory.mjs'), /: it runs out of memory while it loads$/],
  ['it never loads', () => handlerFile('endless.mjs'), TOO_SLOW],
];

/** The message of `refuse`. A module that found no time to load, on a busy machine, is tried again. */
async function refusal(reason: RegExp, refuse: () => Promise<string>): Promise<string> {
  let message: string;
  do message = await refuse();
  while (reason !== TOO_SLOW && TOO_SLOW.test(message));
  return message;
}

describe('a handler that cannot be used', () => {
  it.each(UNUSABLE)('is refused: %s', async (_, file, reason) => {
    const handler = file();
    const message = await refusal(reason, async () => {
      const server = createEchoServer({ port: 0, handler, handlerHeapBytes: 2 ** 25, logLevel: 'silent' });
      const error: unknown = await server.listen().catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(UsageError);
      return (error as UsageError).message;
    });
    expect(message).toMatch(/^handler: "[^\n]*$/);
    expect(message).toMatch(reason);
  });

  const AS_COMMAND = ['a syntax error', 'it ends its thread'];

  it.each(UNUSABLE.filter(([name]) => FULL || AS_COMMAND.includes(name)))(
    'is refused in one line, exit 2: %s',
    async (_, file, reason) => {
      const handler = ['--handler', file(), '--handler-heap', '32MiB'];
      const message = await refusal(reason, async () => {
        const child = runBin(['--port', '0', '--no-pretty', ...handler]);
        expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
        expect(child.stdout).toBe('');
        return child.stderr.trimEnd();
      });
      expect(message).toMatch(/^kecho-pool: --handler: "[^\n]*$/);
      expect(message).toMatch(reason);
    },
  );

  it.each(STRATEGIES)('makes listen() reject before it opens anything, under %s', async (strategy) => {
    const server = createEchoServer({
      strategy,
      port: 0,
      handler: handlerFile('none.ts'),
      logLevel: 'silent',
    });
    await expect(server.listen()).rejects.toThrow(UsageError);
    await expect(server.listen()).rejects.toThrow('the server is stopped');
    expect(server.stats().threads.created).toBe(0);
    expect(server.address()).toBeNull();
  });

  it('is refused by compare and demo, too, and named as given in the environment', async () => {
    for (const tool of ['compare', 'demo']) {
      const child = runBin([tool, '--handler', './none.ts']);
      expect((await child.untilEnded()).code).toBe(2);
      expect(child.stderr).toMatch(
        new RegExp(`^kecho-pool ${tool}: --handler: "[^\n]*none.ts" is not allowed: no such file\n$`),
      );
    }
    const child = runBin(['--port', '0'], { env: { KECHO_POOL_HANDLER: './none.ts' } });
    expect((await child.untilEnded()).code).toBe(2);
    expect(child.stderr).toBe('kecho-pool: KECHO_POOL_HANDLER: "./none.ts" is not allowed: no such file\n');
  });
});

it('that fails in a later thread is refused like one that fails in the first', async () => {
  const folder = temporaryFolder();
  const setUp = `export function setUp() {
    const count = fs.readdirSync('${folder}').length;
    if (count === 2) throw new Error('too many');
    fs.writeFileSync('${folder}/' + count, '');
  }`;
  const file = invalid('later.mjs', `import fs from 'node:fs'; export default () => {}; ${setUp}`);
  const child = runBin(['--port', '0', '--no-pretty', '--log-level', 'silent', '--handler', file]);
  expect(await child.untilEnded()).toEqual({ code: 2, signal: null });
  expect(child.stderr).toMatch(
    /^kecho-pool: --handler: "[^\n]*later.mjs" is not allowed: setUp: too many\n$/,
  );
});

/** Whether a thread of the process waits in openat(2), which opens a FIFO once somebody writes to it. */
function isWaitingInOpenat(pid: number): boolean {
  const number = process.arch === 'arm64' ? '56 ' : '257 ';
  const threads = readdirSync(`/proc/${pid}/task`);
  return threads.some((tid) => readFileSync(`/proc/${pid}/task/${tid}/syscall`, 'latin1').startsWith(number));
}

describe('a handler in native code', () => {
  it('does not keep the process from ending', async () => {
    const fifo = join(temporaryFolder(), 'fifo');
    execFileSync('mkfifo', [fifo]);
    const file = invalid(
      'native.mjs',
      `import fs from 'node:fs'; export default () => fs.openSync('${fifo}');`,
    );
    const { child, port } = await startBin(['-s', 'kthread', '--drain-timeout', '100ms', '--handler', file]);
    const client = await connectTo(port);
    client.send('x');
    await until(() => isWaitingInOpenat(child.pid), 'the handler to wait');
    child.signal('SIGTERM');
    expect(await child.untilEnded()).toEqual({ code: 4, signal: null });
    expect(child.stdout).toContain('"threadsEnded":false');
  });
});

describe('messages that a handler posts', () => {
  it.each(['null', "'hi'", '{ handlerError: null }', '[]'])('are ignored: %s', async (message) => {
    const text = `import { parentPort } from 'node:worker_threads'; const post = () => parentPort.postMessage(${message});`;
    const file = invalid('posts.mjs', `${text} export const setUp = post; export default post;`);
    const { server, port } = await startServer({ handler: file });
    const client = await connectTo(port);
    await client.echo('one');
    await client.echo('two');
    expect(server.stats().connections.closed.handlerError).toBe(0);
  });
});

describe('options', () => {
  const refusal = (options: object) => () => createEchoServer(options);

  it('exclude a service, and a heap limit without a handler', () => {
    const handler = handlerFile('copy.ts');
    expect(refusal({ handler, service: ['burn:1ms'] })).toThrow(
      /^handler: "[^"]*" is not allowed: only without service$/,
    );
    expect(refusal({ handlerHeapBytes: 2 ** 25 })).toThrow(
      'handlerHeapBytes: 33554432 is not allowed: only with handler',
    );
    expect(refusal({ handler: '' })).toThrow('handler: "" is not allowed: the path of a module');
  });

  it('keep a # that begins no name', () => {
    const { options } = createEchoServer({ handler: './a#b/c.js#d', logLevel: 'silent' });
    expect(options.handler).toBe(`${process.cwd()}/a#b/c.js#d`);
  });
});
