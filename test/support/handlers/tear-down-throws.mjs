import { isMainThread, workerData } from 'node:worker_threads';
export function tearDown() {
  // Not in the thread that tries the module.
  if (!isMainThread && 'control' in workerData) throw new Error('still in use');
}
export default function () {}
