/**
 * Entry of the thread that tries the operator's handler before the server listens: loads it, sets it up and tears it
 * down as a worker would. Posts why it cannot be used, null if it can (src/pool/handler-check.ts).
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { HandlerSpec } from '../src/memory/layout.ts';
import { markedPost } from '../src/memory/posts.ts';
import { messageOf, startHandler } from './handler.ts';

function failure(): string | null {
  try {
    startHandler(workerData as HandlerSpec).tearDown();
    return null;
  } catch (error) {
    return messageOf(error);
  }
}

parentPort?.postMessage(markedPost(failure()));
process.exit(); // the module may have left timers or sockets
