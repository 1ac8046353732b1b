/**
 * Entry of threads that serve one connection after another, or whose services burn CPU time.
 */
import { ffiCalls } from './calls-ffi.ts'; // before the thread claims its id: see thread.ts
import { connectionTask } from './serve.ts';

export const serve = connectionTask(ffiCalls);
export { end } from './thread.ts';
