/**
 * Goal: a program may use the API in a worker thread: however the thread ends, the process survives. `listen()` refuses
 * there with one sentence and opens nothing.
 * Method: child processes with a thread that tries to listen and then ends: by terminate(), process.exit(), an uncaught
 * exception, or by returning.
 */
import { describe, expect, it } from 'vitest';
import { Child } from './support/child.ts';
import { STRATEGIES } from './support/server.ts';

const API = new URL('../src/index.ts', import.meta.url).href;

/** The thread's last statement, and the exit code and error that the program sees. */
const ENDS = {
  terminate: { last: 'setInterval(() => {}, 1000)', code: 1, error: null },
  exit: { last: 'process.exit(5)', code: 5, error: null },
  exception: { last: "setImmediate(() => { throw new Error('on purpose'); })", code: 1, error: 'on purpose' },
  return: { last: '', code: 0, error: null },
} as const;

function run(strategy: string, end: keyof typeof ENDS): Child {
  const inThread = `
    import { readdirSync } from 'node:fs';
    import { parentPort } from 'node:worker_threads';
    const { createEchoServer } = await import('${API}');
    const server = createEchoServer({ port: 0, strategy: '${strategy}', logLevel: 'silent' });
    const open = () => readdirSync('/proc/self/fd').length;
    const before = open();
    const refused = await server.listen().then(() => null, ({ name, message }) => name + ': ' + message);
    parentPort.postMessage({ refused, state: server.state, opened: open() - before });
    ${ENDS[end].last};`;
  const program = `
    import { Worker } from 'node:worker_threads';
    const url = 'data:text/javascript,' + encodeURIComponent(${JSON.stringify(inThread)});
    const thread = new Worker(new URL(url));
    let [said, error] = [null, null];
    thread.once('message', (message) => {
      said = message;
      if ('${end}' === 'terminate') void thread.terminate();
    });
    thread.once('error', ({ message }) => { error = message; });
    thread.once('exit', (code) => setTimeout(() => console.log(JSON.stringify({ ...said, code, error })), 100));`;
  return new Child(process.execPath, ['--input-type=module', '--eval', program]);
}

describe.each(STRATEGIES)('%s in a worker thread', (strategy) => {
  it.each(Object.keys(ENDS) as (keyof typeof ENDS)[])(
    'that ends (%s): listen() refuses, the process survives',
    async (end) => {
      const child = run(strategy, end);
      expect(await child.untilEnded(60_000)).toEqual({ code: 0, signal: null });
      const { refused, ...rest } = JSON.parse(child.stdout) as { refused: string };
      expect(refused).toMatch(
        /^Error: listen\(\) works only on the main thread of a process, .*worker thread/,
      );
      expect(refused).not.toContain('\n');
      const { code, error } = ENDS[end];
      expect(rest).toEqual({ state: 'new', opened: 0, code, error });
    },
  );
});
