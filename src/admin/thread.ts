/**
 * Entry of the admin endpoint's thread: it answers HTTP, so that no number of clients holds main up.
 *
 * Loaded once per thread. It owns the endpoint, and a descriptor of the listening socket. Main makes another thread when
 * this one ends or does not answer.
 *
 * It must not be terminated while it loads, as that aborts the process while koffi loads; nor use top-level await
 * (workers/thread.ts). `up` tells main that it has loaded.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { duplicate } from '../sys/inherited-socket.ts';
import { Endpoint } from './endpoint.ts';
import { MainSource } from './main-source.ts';
import { encodeError, type FromThread, type ThreadData, type ToThread } from './messages.ts';

/** Standard streams must not get the socket's descriptor. */
const FIRST_FD = 3;

const data = workerData as ThreadData;
const post = (message: FromThread) => parentPort?.postMessage(message);
const source = new MainSource(data, (what) => post({ kind: 'ask', what }));
const endpoint = new Endpoint(source, data.options, (error, what) => {
  post({ kind: 'error', error: encodeError(error), what });
});

parentPort?.on('message', (message: ToThread) => {
  source.take(message);
  if (message.kind === 'ping') post({ kind: 'pong' });
  else if (message.kind === 'close') void endpoint.close().then(() => process.exit()); // ends this thread only
});

void endpoint.listen(duplicate(data.fd, FIRST_FD)).then(() => post({ kind: 'up' }));
