/** The kernel's number of a thread. Without the FFI, so that any thread can import it. */
import { readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** The kernel's id of the calling thread (gettid(2)); 0 where /proc cannot be read. */
export function ownThreadId(): number {
  try {
    return Number(basename(readlinkSync('/proc/thread-self'))); // PID/task/TID
  } catch {
    return 0;
  }
}
