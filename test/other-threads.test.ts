/**
 * Goal: main can tell what another thread of its process sleeps in, and how much CPU time it has used.
 * Method: real threads that sleep in a known system call or burn a known CPU time; the system's headers are the oracle
 * for the numbers of system calls, where installed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { describe, expect, it, onTestFinished } from 'vitest';
import { affinityOf, cpusOf, currentCpu, maskOf, setAffinity } from '../src/sys/affinity.ts';
import { threadCpuMsOf } from '../src/sys/cpu-clock.ts';
import { ownThreadId } from '../src/sys/thread-id.ts';
import { nameIn, SYSTEM_CALLS, threadSyscall } from '../src/sys/thread-syscall.ts';
import { until, untilSteady } from './support/wait.ts';

const HEADERS = [
  '/usr/include/x86_64-linux-gnu/asm/unistd_64.h',
  '/usr/include/asm-generic/unistd.h', // arm64's
] as const;
/** No process has so many threads. */
const NO_THREAD = 2 ** 22 + 1;

const PRELUDE = `
  const { parentPort } = require('node:worker_threads');
  const { basename } = require('node:path');
  const burn = (ms) => { const end = performance.now() + ms; while (performance.now() < end); };
  const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
  const tell = () => parentPort.postMessage(Number(basename(require('node:fs').readlinkSync('/proc/thread-self'))));
`;

/** Starts a thread that runs `code`, which calls tell(). Returns its kernel id. */
async function startThread(code: string): Promise<{ worker: Worker; tid: number }> {
  const worker = new Worker(PRELUDE + code, { eval: true });
  onTestFinished(async () => {
    await worker.terminate();
  });
  const tid = await new Promise<number>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
  });
  return { worker, tid };
}

describe('what a thread sleeps in', () => {
  it.each([
    ['Atomics.wait', 'tell(); sleep(20_000)', /^futex$/],
    [
      'execFileSync',
      "tell(); for (;;) require('node:child_process').execFileSync('sleep', ['0.3'])",
      /^epoll_p?wait$/,
    ],
    ['its event loop', 'tell(); parentPort.on("message", () => {})', /^epoll_p?wait$/],
  ])('is shown by name: %s', async (_, code, name) => {
    const { tid } = await startThread(code);
    await until(
      () => name.test(threadSyscall(tid) ?? ''),
      () => `${name}, not ${threadSyscall(tid)}`,
    );
  });

  it('is "running" for one that computes', async () => {
    const { tid } = await startThread('tell(); for (;;);');
    await until(() => threadSyscall(tid) === 'running', 'the thread to run');
    expect(threadSyscall(ownThreadId())).toMatch(/^(running|read|pread64)$/);
  });

  it('is null where it cannot be read', async () => {
    expect(threadSyscall(NO_THREAD)).toBeNull();
    expect(threadSyscall(0)).toBeNull();
    const { worker, tid } = await startThread('tell(); sleep(20_000)');
    await worker.terminate();
    await until(() => threadSyscall(tid) === null, 'the thread to be gone');
  });

  it('is understood in each form that the kernel writes', () => {
    const args = '0x1 0x2 0x3 0x4 0x5 0x6 0x7ffe 0x7f15';
    expect(nameIn('running\n', 'x64')).toBe('running');
    expect(nameIn(`202 ${args}\n`, 'x64')).toBe('futex');
    expect(nameIn(`98 ${args}\n`, 'arm64')).toBe('futex');
    expect(nameIn(`74 ${args}\n`, 'x64')).toBe('fsync');
    expect(nameIn(`499 ${args}\n`, 'x64')).toBe('syscall 499');
    expect(nameIn(`202 ${args}\n`, 's390x')).toBe('syscall 202');
    expect(nameIn('-1 0x7ffe 0x7f15\n', 'x64')).toBe('no system call');
    expect(nameIn('', 'x64')).toBeNull();
    expect(nameIn('<b>1</b>', 'x64')).toBeNull();
  });

  it.each([0, 1] as const)('has the numbers of the system headers, column %i (skipped without)', (column) => {
    const file = HEADERS[column];
    if (!existsSync(file)) return;
    const numbers = new Map<string, number>();
    for (const [, name = '', number] of readFileSync(file, 'utf8').matchAll(
      /^#define __NR(?:3264)?_(\w+)\s+(\d+)$/gm,
    ))
      numbers.set(name === 'fstatat' ? 'newfstatat' : name, Number(number));
    for (const [name, columns] of Object.entries(SYSTEM_CALLS))
      expect([name, columns[column]]).toEqual([name, numbers.get(name) ?? null]);
  });
});

describe('the CPU clock of a thread', () => {
  it('counts its CPU time, and stands still while it sleeps', async () => {
    const { tid } = await startThread('burn(60); tell(); sleep(20_000)');
    await until(() => threadSyscall(tid) === 'futex', 'the thread to sleep');
    // It may have been in futex(2) before, for a lock, and then have waited for a processor.
    const asleep = await until(async () => {
      const cpuMs = await untilSteady(() => threadCpuMsOf(tid) ?? Number.NaN, 'its CPU time');
      return threadSyscall(tid) === 'futex' && cpuMs;
    }, 'the thread to be asleep');
    expect(asleep).toBeGreaterThan(0);
    const own = threadCpuMsOf(ownThreadId()) ?? Number.NaN;
    while ((threadCpuMsOf(ownThreadId()) ?? Number.NaN) < own + 20);
    expect(threadCpuMsOf(tid)).toBe(asleep);
    expect(asleep).not.toBe(own);
  });

  it('is null for a thread that does not exist', () => {
    expect(threadCpuMsOf(NO_THREAD)).toBeNull();
    expect(threadCpuMsOf(0)).toBeNull();
  });
});

describe('the processors a thread may run on', () => {
  it('can be set for another thread, and read back', async () => {
    const { tid } = await startThread('tell(); for (;;);');
    const allowed = affinityOf(tid);
    if (allowed === null) throw new Error('the mask cannot be read');
    expect(allowed).toEqual(affinityOf(0));
    const last = cpusOf(allowed).at(-1) as number; // a thread runs, so there is a processor
    expect(setAffinity(tid, maskOf(last))).toBe(true);
    expect(cpusOf(affinityOf(tid) ?? maskOf(0))).toEqual([last]);
    expect(affinityOf(0)).toEqual(allowed); // only that thread
    expect(setAffinity(tid, allowed)).toBe(true);
    expect(affinityOf(tid)).toEqual(allowed);
  });

  it('include the one that it runs on', () => {
    expect(cpusOf(affinityOf(0) ?? maskOf(0))).toContain(currentCpu());
  });

  it('are refused where there is no such processor, or no such thread', () => {
    expect(setAffinity(0, new Uint8Array(affinityOf(0)?.length ?? 0))).toBe(false);
    expect(affinityOf(NO_THREAD)).toBeNull();
    expect(setAffinity(NO_THREAD, maskOf(0))).toBe(false);
  });
});
