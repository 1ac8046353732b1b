/** Ending the process while a thread cannot be ended. */
import { libc } from './libc.ts';

/** _exit(2): process.exit() would wait for a thread in native code, perhaps for ever. Handlers of `exit` do not run. */
export function exitNow(code: number): never {
  libc._exit(code);
  throw new Error('unreachable');
}
