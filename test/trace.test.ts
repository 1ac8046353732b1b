/**
 * Goal: at log level trace a main that is slower than the workers costs bounded memory: lines beyond the bound are
 * dropped, the log says where and how many, and those in the log are correct. A main that keeps up loses none.
 * Method: a client thread that sends requests continuously while this thread, which is main, only waits for it; and
 * both sides of the protocol on plain memory, with main interrupting at each atomic operation.
 */
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SharedState, WORKERS_HIGH } from '../src/memory/layout.ts';
import { EchoServer } from '../src/server/server.ts';
import { Traces } from '../src/server/traces.ts';
import { POSTED_MAX, Trace } from '../workers/trace.ts';
import type { LogLine } from './support/child.ts';
import { connectTo } from './support/client.ts';
import { interrupt } from './support/interleave.ts';
import { recordingLogger } from './support/log-output.ts';
import { STRATEGIES } from './support/server.ts';
import { until } from './support/wait.ts';

const LOST = 'trace lines dropped';

/** The size of the request with this number, from 0, by which a line identifies it. */
function bytesOf(request: number): number {
  return 1 + (request % 97);
}

/**
 * Checks the lines about one connection: each must be about the next request, after the lost ones.
 * Returns the number of requests, and how many of them were lost.
 */
function walk(lines: readonly LogLine[]): { requests: number; lost: number } {
  let [requests, lost] = [0, 0];
  for (const line of lines) {
    if (line.msg === LOST) {
      lost += Number(line.lost);
      requests += Number(line.lost);
    } else expect(line).toMatchObject({ type: 'echo', bytes: bytesOf(requests++) });
  }
  return { requests, lost };
}

/** Sends `count` requests on its own connection, each after the echo of the previous one. */
function startRequests(port: number, count: number): { answered: () => number } {
  const answered = new Int32Array(new SharedArrayBuffer(4));
  const source = `
    const { connect } = require('node:net');
    const { workerData: { port, count, answered } } = require('node:worker_threads');
    const socket = connect({ port, host: '127.0.0.1', noDelay: true });
    let missing = 0;
    const request = () => {
      const done = Atomics.load(answered, 0);
      if (done === count) return socket.end();
      missing = 1 + (done % 97);
      socket.write(Buffer.alloc(missing));
    };
    socket.on('data', ({ length }) => {
      missing -= length;
      if (missing > 0) return;
      Atomics.add(answered, 0, 1);
      request();
    });
    request();`;
  const client = new Worker(source, { eval: true, workerData: { port, count, answered } });
  onTestFinished(async () => {
    await client.terminate();
  });
  return { answered: () => Atomics.load(answered, 0) };
}

/** Blocks this thread, and its event loop, until the condition holds. */
function blockUntil(condition: () => boolean): void {
  const word = new Int32Array(new SharedArrayBuffer(4));
  const deadlineMs = performance.now() + 60_000;
  while (!condition()) {
    if (performance.now() > deadlineMs) throw new Error('timeout waiting for the condition');
    Atomics.wait(word, 0, 0, 5);
  }
}

describe.each(STRATEGIES)('%s: at log level trace', (strategy) => {
  it('a main that is busy finds a bounded number of lines, and the log says where others are missing', async () => {
    const { lines, logger } = recordingLogger('trace');
    const few = strategy === 'cmwq' ? { cpus: 1 } : strategy === 'workqueue' ? { workers: 1 } : {};
    const server = new EchoServer({ port: 0, strategy, ...few }, logger);
    onTestFinished(async () => {
      await server.close({ drainTimeoutMs: 0 });
    });
    const traced = () => lines.filter(({ msg }) => msg === 'worker' || msg === LOST);
    const { port } = await server.listen();
    const count = 20 * POSTED_MAX;
    const { answered } = startRequests(port, count);
    await until(() => answered() > 0, 'the first answer');
    const before = traced().length;
    blockUntil(() => answered() === count);
    await until(() => walk(traced()).requests === count, 'all lines, written or reported as lost');
    expect(traced().length - before).toBeLessThanOrEqual(POSTED_MAX + 2); // two of them report losses
    expect(walk(traced()).lost).toBeGreaterThan(0);
  });

  it('a main that keeps up loses none', async () => {
    const { lines, logger } = recordingLogger('trace');
    const server = new EchoServer({ port: 0, strategy }, logger);
    onTestFinished(async () => {
      await server.close({ drainTimeoutMs: 0 });
    });
    const { port } = await server.listen();
    const client = await connectTo(port);
    const count = 3 * POSTED_MAX;
    for (let i = 0; i < count; i++) await client.echo(Buffer.alloc(bytesOf(i)));
    const traced = () => lines.filter(({ msg }) => msg === 'worker' || msg === LOST);
    await until(
      () => walk(traced()).requests === count,
      () => `a line for each request: ${walk(traced()).requests} of ${count}`,
    );
    expect(walk(traced())).toEqual({ requests: count, lost: 0 });
  });
});

describe('dropping and taking, forced', () => {
  function scenario() {
    const shared = SharedState.create({ cpus: 0, workers: 1, fdLimit: 8, spills: 0 });
    shared.words[WORKERS_HIGH] = 1;
    const lines: LogLine[] = [];
    const log = (line: object, msg: string) => void lines.push({ ...line, msg });
    const traces = new Traces(shared, { trace: log, warn: log });
    const posted: object[] = [];
    const trace = new Trace(shared, 1, (message) => void posted.push(message));
    let requests = 0;
    const worker = (count: number) => {
      for (let i = 0; i < count; i++) trace.echo(7, bytesOf(requests++));
    };
    const main = () => {
      for (const message of posted.splice(0)) traces.take(message);
    };
    const check = () => {
      main();
      traces.close();
      expect(walk(lines)).toMatchObject({ requests });
    };
    return { worker, main, check, posted };
  }

  it.each([0, 1, 5])(
    'a worker about to drop a line, %d dropped before, against a main that takes all',
    (dropped) => {
      interrupt(() => {
        const { worker, main, check } = scenario();
        worker(POSTED_MAX + dropped);
        return { run: () => worker(3), other: main, check };
      });
    },
  );

  it('a main that takes the last line, against a worker that continues', () => {
    interrupt(() => {
      const { worker, main, check } = scenario();
      worker(POSTED_MAX + 2);
      return { run: main, other: () => worker(3), check };
    });
  });

  it('at most POSTED_MAX lines wait', () => {
    const { worker, main, check, posted } = scenario();
    for (let round = 0; round < 3; round++) {
      worker(3 * POSTED_MAX);
      expect(posted).toHaveLength(POSTED_MAX);
      main();
    }
    check();
  });
});
