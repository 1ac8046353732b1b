/**
 * The server under a soak test: the public API in a separate process, with two extra commands.
 *
 *     node --expose-gc bench/lab/soak/server-child.ts <the module of the API> '{"strategy":"cmwq",...}'
 *
 * With an admin address among the options it has an admin endpoint, too.
 *
 * Commands are lines on standard input, answered in lines of JSON:
 *
 *   kill N    -> {"msg":"kill","worker":id}   ends the thread of worker N modulo their number, among those in an item
 *                or else among all; id 0 without a worker
 *   collect   -> {"msg":"collected"}          collects the garbage of the main thread
 *
 * SIGTERM and SIGUSR2 work as in the program; the process exits when standard input ends. Killing needs two internal
 * methods of the server.
 */
import { createInterface } from 'node:readline';
import { setImmediate as immediate } from 'node:timers/promises';
import type * as AdminApi from '../../../src/admin/index.ts';
import type * as Api from '../../../src/index.ts';

const [, , api = '', text = '{}'] = process.argv;
const { createEchoServer } = (await import(api)) as typeof Api;
const options = JSON.parse(text) as Api.EchoServerOptions;
const server = createEchoServer(options);

/** How long `kill` waits for a worker to be in an item. */
const KILL_WAIT_MS = 50;

/** The workers that may be killed: those loaded, except the rescuer. */
function victims(): { busy: number[]; all: number[] } {
  const able = server.workers().filter(({ state }) => !['starting', 'retired', 'rescuer'].includes(state));
  const ids = (workers: typeof able) => workers.map(({ id }) => id);
  return { busy: ids(able.filter(({ connection }) => connection !== null)), all: ids(able) };
}

/** Ends one worker, preferably inside an item; resolves with its id. */
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

async function obey(command: string): Promise<void> {
  const [, number] = /^kill (\d+)$/.exec(command) ?? [];
  if (number !== undefined) answer({ msg: 'kill', worker: await kill(Number(number)) });
  if (command !== 'collect') return;
  globalThis.gc?.(); // exists with --expose-gc
  answer({ msg: 'collected' });
}

process.on('SIGTERM', () => {
  void server.close().then(({ cut }) => process.exit(cut > 0 ? 4 : 0));
});
process.on('SIGUSR2', () => server.logStats());
createInterface({ input: process.stdin })
  .on('line', (command) => void obey(command))
  .on('close', () => process.exit(1));
if (options.admin !== undefined) {
  const { createAdmin } = (await import(api.replace('index.', 'admin/index.'))) as typeof AdminApi;
  await createAdmin(server, { listen: options.admin }).listen();
}
await server.listen();
