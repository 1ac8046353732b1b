/**
 * koffi in the threads from dist, whose bundles import this module in its place: the file that main has found.
 */
import { createRequire } from 'node:module';
import { workerData } from 'node:worker_threads';
import type { WorkerData } from '../src/memory/layout.ts';

const { koffiFile } = workerData as WorkerData;
export default createRequire(koffiFile)(koffiFile) as unknown;
