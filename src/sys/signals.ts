/**
 * Signals to a program of this package (signal(7)): those that ask it to end, and the one that Node gives to its debugger.
 *
 * Main thread only, and only for programs: the signals of a host belong to the host.
 */
import { readFileSync } from 'node:fs';
import inspector from 'node:inspector';
import { basename } from 'node:path';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

function ignore(): void {}

/**
 * Whether SIGHUP was ignored when the program was started, as nohup(1) does it. Node gives ignored signals their default
 * back before any JavaScript runs, so the process itself no longer knows. What is left: a parent that ignores it, as the
 * shell of a script under nohup does, and the variable in which bash and zsh name the command that they start.
 */
export function wasHangupIgnored(environment: NodeJS.ProcessEnv, parentPid: number): boolean {
  return basename(environment._ ?? '') === 'nohup' || isHangupIgnoredBy(parentPid);
}

/** By the mask in proc(5), whose lowest bit is signal 1. False without /proc. */
function isHangupIgnoredBy(pid: number): boolean {
  try {
    return /^SigIgn:.*[13579bdf]$/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

/**
 * Calls `stop` at each signal that asks a program to end: SIGINT, SIGTERM, and SIGHUP (its terminal was closed), unless
 * that was ignored at the start; then it stays ignored for good. Returns what takes the handlers off again.
 */
export function onStopSignal(stop: (signal: StopSignal) => void): () => void {
  const signals: StopSignal[] = ['SIGINT', 'SIGTERM'];
  if (wasHangupIgnored(process.env, process.ppid)) process.on('SIGHUP', ignore);
  else signals.push('SIGHUP');
  for (const signal of signals) process.on(signal, stop);
  return () => {
    for (const signal of signals) process.off(signal, stop);
  };
}

/**
 * By default Node opens its debugger at SIGUSR1, on a port that any local user can reach. This flag blocks the signal from
 * the first moment on. For children; the command itself is started without it, and does what it can:
 */
export const BLOCK_DEBUG_SIGNAL = '--disable-sigusr1';

/**
 * For a program that ignores SIGUSR1 from its first statement on: closes the debugger that a signal before that has
 * opened, or is about to open when the event loop turns. One that the operator asked for stays.
 */
export function closeDebugger(): void {
  const options = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  if (/--inspect(?:-brk|-wait)?(?:[ =]|$)/.test(options)) return;
  setImmediate(() => {
    if (inspector.url() !== undefined) inspector.close();
  });
}
