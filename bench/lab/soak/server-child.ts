/**
 * The server under a soak test: the public API in a process of its own, and one order more than the program has.
 *
 *     node --expose-gc bench/lab/soak/server-child.ts <the module of the API> '{"strategy":"cmwq",...}'
 *
 * Orders come on standard input, a line each, and are answered in lines of JSON:
 *
 *   kill N    -> {"msg":"kill","worker":id}   ends the thread of one of the workers that are in an item (of the
 *                others when none is), number N modulo their number; id 0 when there was none
 *   collect   -> {"msg":"collected"}          collects the garbage of the main thread
 *
 * SIGTERM and SIGUSR2 do what they do in the program. When standard input ends, so does this process. Killing needs
 * two internal methods of the server, and so this file is the only one in bench/ that imports it.
 */
import { createInterface } from 'node:readline';
import { setImmediate as immediate } from 'node:timers/promises';
import type * as Api from '../../../src/index.ts';

const [, , api = '', options = '{}'] = process.argv;
const { createEchoServer } = (await import(api)) as typeof Api;
const server = createEchoServer(JSON.parse(options) as Api.EchoServerOptions);

/** How long an order to kill waits for a worker to be in an item. */
const KILL_WAIT_MS = 50;

/** The workers that may be killed: not one that is still loading, nor the rescuer. */
function victims(): { busy: number[]; all: number[] } {
  const able = server.workers().filter(({ state }) => !['starting', 'retired', 'rescuer'].includes(state));
  const ids = (workers: typeof able) => workers.map(({ id }) => id);
  return { busy: ids(able.filter(({ connection }) => connection !== null)), all: ids(able) };
}

/** Ends one worker, by preference inside an item; resolves with its id. */
async function kill(number: number): Promise<number> {
  const deadlineMs = performance.now() + KILL_WAIT_MS;
  while (victims().busy.length === 0 && performance.now() < deadlineMs) await immediate();
  const { busy, all } = victims();
  const candidates = busy.length > 0 ? busy : all;
  const id = candidates[number % Math.max(1, candidates.length)] ?? 0;
  return server.terminateWorker(id) ? id : 0;
}

function answer(message: object): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function obey(order: string): Promise<void> {
  const [, number] = /^kill (\d+)$/.exec(order) ?? [];
  if (number !== undefined) answer({ msg: 'kill', worker: await kill(Number(number)) });
  if (order !== 'collect') return;
  globalThis.gc?.(); // there with --expose-gc
  answer({ msg: 'collected' });
}

process.on('SIGTERM', () => {
  void server.close().then(({ cut }) => process.exit(cut > 0 ? 4 : 0));
});
process.on('SIGUSR2', () => server.logStats());
createInterface({ input: process.stdin })
  .on('line', (order) => void obey(order))
  .on('close', () => process.exit(1));
await server.listen();
