/**
 * Entry of threads that serve a single connection, without the FFI.
 */
import { fsCalls } from './calls-fs.ts';
import { connectionTask } from './serve.ts';

export const serve = connectionTask(fsCalls);
export { end } from './thread.ts';
