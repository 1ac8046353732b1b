/**
 * The entry of threads that live as long as one connection: without the FFI.
 */
import { fsCalls } from './calls-fs.ts';
import { connectionTask } from './serve.ts';

export const serve = connectionTask(fsCalls);
