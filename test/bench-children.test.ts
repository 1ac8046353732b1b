/**
 * Goal: a benchmark ends the child processes it started and their descendants, however it exits itself.
 * Method: small scripts as children; a program that starts one and is stopped. Checked in /proc, not through the class.
 */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { describe, expect, it, onTestFinished } from 'vitest';
import { ChildProcess } from '../bench/child-process.ts';
import { Child } from './support/child.ts';
import { until } from './support/wait.ts';

const MODULE = new URL('../bench/child-process.ts', import.meta.url).href;
const LIMIT_MS = 60_000;
const SLEEPER = ['-e', 'setInterval(() => {}, 1000)'];

function start(command: string, args: readonly string[]): ChildProcess {
  const child = new ChildProcess('child', command, args);
  onTestFinished(() => child.stop(true));
  return child;
}

/** A child and the first line it prints. */
function printing(script: string): { child: ChildProcess; line: Promise<string> } {
  const { promise, resolve } = Promise.withResolvers<string>();
  const child = new ChildProcess('child', '/bin/sh', ['-c', script], resolve);
  onTestFinished(() => child.stop(true));
  return { child, line: child.unlessItEnds(promise, 'printing', LIMIT_MS) };
}

/** Whether the process has exited; a zombie has. */
function isGone(pid: number): boolean {
  try {
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

describe('a child of a benchmark', () => {
  it('blocks the debug signal when it runs Node', async () => {
    const script = `JSON.stringify(/^SigBlk:\\s*(\\w+)$/m.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1])`;
    const blocked = await start(process.execPath, ['-p', script]).result<string>(LIMIT_MS);
    expect(Number.parseInt(blocked, 16)).toBe(1 << (constants.signals.SIGUSR1 - 1));
  });

  it('does not inherit KECHO_POOL_* variables', async () => {
    process.env.KECHO_POOL_PORT = '1';
    onTestFinished(() => void delete process.env.KECHO_POOL_PORT);
    const child = start(process.execPath, ['-p', 'JSON.stringify(process.env)']);
    expect(await child.result(LIMIT_MS)).not.toHaveProperty('KECHO_POOL_PORT');
  });

  it('rejects a pending result or line with its exit code and stderr', async () => {
    const script = 'echo one >&2; echo two >&2; exit 3';
    const message = 'child: exit code 3: one; two';
    await expect(printing(script).line).rejects.toThrow(message);
    await expect(start('/bin/sh', ['-c', script]).result(LIMIT_MS)).rejects.toThrow(message);
  });

  it('is killed at the timeout', async () => {
    await expect(start(process.execPath, SLEEPER).result(50)).rejects.toThrow('child: signal SIGKILL');
  });

  it('is killed with its own child, which ignores SIGTERM', async () => {
    const { child, line } = printing("(trap '' TERM; exec sleep 1000) & echo $!; wait");
    const grandchild = Number(await line);
    await child.stop();
    await until(() => isGone(grandchild), 'the grandchild to be gone');
  });

  it.each(['SIGINT', 'SIGTERM'] as const)('ends on %s to the program', async (signal) => {
    const program = new Child(process.execPath, [
      '--input-type=module',
      '-e',
      `import { ChildProcess, exitOnStopSignal } from ${JSON.stringify(MODULE)};
       exitOnStopSignal();
       console.log(new ChildProcess('child', 'sleep', ['1000']).pid);`,
    ]);
    await until(() => program.stdout.endsWith('\n'), 'the child to be started');
    program.signal(signal);
    expect(await program.untilEnded()).toEqual({ code: 128 + constants.signals[signal], signal: null });
    await until(() => isGone(Number(program.stdout)), 'the child to be gone');
  });
});
