/**
 * Signals to a program of this package (signal(7)): those that stop it, and the one that starts Node's debugger.
 *
 * Main thread only, and only for programs: a host program handles its own signals.
 */
import { readFileSync } from 'node:fs';
import inspector from 'node:inspector';
import { basename } from 'node:path';

export type StopSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

function ignore(): void {}

/**
 * Whether SIGHUP was ignored when the program was started, as by nohup(1). Node resets ignored signals to their default
 * before any JavaScript runs, so this looks at the variable `_`, in which bash and zsh put the command that they start,
 * and at whether the parent ignores SIGHUP, as the shell of a script under nohup does.
 */
export function wasHangupIgnored(environment: NodeJS.ProcessEnv, parentPid: number): boolean {
  return basename(environment._ ?? '') === 'nohup' || isHangupIgnoredBy(parentPid);
}

/** By the SigIgn mask in proc(5), whose lowest bit is SIGHUP. False without /proc. */
function isHangupIgnoredBy(pid: number): boolean {
  try {
    return /^SigIgn:.*[13579bdf]$/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

/**
 * Calls `stop` on each SIGINT, SIGTERM and SIGHUP (the terminal was closed). A SIGHUP that was ignored at the start
 * remains ignored. Returns a function that removes the handlers.
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
 * By default Node starts its debugger on SIGUSR1, on a port that any local user can reach. This flag, for child
 * processes, prevents it from the start. The command itself is started without it and calls closeDebugger().
 */
export const BLOCK_DEBUG_SIGNAL = '--disable-sigusr1';

/**
 * For a program that ignores SIGUSR1 from its first statement on: closes the debugger that an earlier signal has
 * started, or will start in the next turn of the event loop. A debugger that the operator requested stays open.
 */
export function closeDebugger(): void {
  const options = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  if (/--inspect(?:-brk|-wait)?(?:[ =]|$)/.test(options)) return;
  setImmediate(() => {
    if (inspector.url() !== undefined) inspector.close();
  });
}
