/**
 * A program for tests: a server with an admin endpoint that exhausts its descriptors, or blocks its main thread, on command.
 *
 * Arguments: the server's options as JSON, and those of the endpoint. Commands are lines on standard input, answered in JSON lines:
 *   exhaust N  opens files until no descriptor is left, then closes N of them -> {"msg":"exhausted"}
 *   release    closes all of them -> {"msg":"released"}
 *   measure    waits 300 ms -> {"msg":"measured","busy":CPU time / time}
 *   stats      logs the server's figures
 *   kill       ends the thread of a worker that sleeps in an item
 *   block FILE blocks the main thread until the file exists
 *   fault NAME a fault of the endpoint's thread (faulty/admin-thread.ts)
 *   stop       closes the server; the process then exits by itself
 */
import { closeSync, existsSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { type AdminOptions, createAdmin } from '../../src/admin/index.ts';
import { createEchoServer, type EchoServerOptions } from '../../src/index.ts';
import { type AdminFault, FAULTY_ADMIN_THREAD, orderAdminFault } from './admin-faults.ts';

const MEASURE_MS = 300;
const held: number[] = [];

function say(msg: string, more: object = {}): void {
  process.stdout.write(`${JSON.stringify({ msg, ...more })}\n`);
}

function exhaust(leave: number): void {
  try {
    for (;;) held.push(openSync('/dev/null', 'r'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error;
  }
  for (const fd of held.splice(0, leave)) closeSync(fd);
  say('exhausted', { held: held.length });
}

function release(): void {
  for (const fd of held.splice(0)) closeSync(fd);
  say('released');
}

async function measure(): Promise<void> {
  const start = process.cpuUsage();
  const startMs = performance.now();
  await pause(MEASURE_MS);
  const { user, system } = process.cpuUsage(start);
  say('measured', { busy: (user + system) / 1000 / (performance.now() - startMs) });
}

const options = JSON.parse(process.argv[2] ?? '{}') as EchoServerOptions;
const server = createEchoServer({ port: 0, logLevel: 'info', ...options });
const logger = {
  info() {},
  warn() {},
  error: ({ cause }: { cause?: string }, text: string) => say(text, { cause }),
};
const admin = createAdmin(server, {
  snapshotAgeMs: 0,
  lateMs: 60_000,
  stuckMs: 60_000,
  logger,
  entry: FAULTY_ADMIN_THREAD,
  ...(JSON.parse(process.argv[3] ?? '{}') as AdminOptions),
});

function block(file: string): void {
  while (!existsSync(file)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
}

function kill(): void {
  const asleep = server.workers().find(({ state }) => state === 'blocked');
  if (asleep !== undefined) server.terminateWorker(asleep.id);
}

async function stop(): Promise<void> {
  await server.close({ drainTimeoutMs: 0 });
  await admin.close();
  input.close();
}

const input = createInterface({ input: process.stdin });
input.on('line', (line) => {
  const [command, argument] = line.split(' ');
  if (command === 'exhaust') exhaust(Number(argument));
  else if (command === 'release') release();
  else if (command === 'measure') void measure();
  else if (command === 'stats') server.logStats();
  else if (command === 'kill') kill();
  else if (command === 'block') block(argument ?? '');
  else if (command === 'fault') orderAdminFault(argument as AdminFault);
  else if (command === 'stop') void stop();
});
say('admin', await admin.listen());
await server.listen();
