/**
 * One whole run: creates what its connections share and takes the mode through its phases.
 *
 * Every phase has a deadline, so a steady run takes at most four timeouts plus both warm-ups (warm-up.ts and settle()) and
 * the duration.
 */
import { epollCreate } from '../../src/sys/epoll.ts';
import { encodeSockaddr } from '../../src/sys/sockaddr.ts';
import { closeFd } from '../../src/sys/socket.ts';
import { Burst, driveBursts } from './burst.ts';
import { ChurnClient } from './churn.ts';
import { type Client, ERRORS_MAX, type Shared } from './client.ts';
import { ClosedClient } from './closed.ts';
import { LiveReport } from './live.ts';
import type { LoadOptions } from './load-options.ts';
import { OpenClient } from './open.ts';
import { Pattern } from './pattern.ts';
import { Pump } from './pump.ts';
import type { LoadResult } from './schema.ts';
import { Settling } from './settling.ts';
import { SkewedClient } from './skewed.ts';
import { Sources } from './sources.ts';
import { Tally } from './tally.ts';
import { warmUp } from './warm-up.ts';
import { ZipfClient } from './zipf.ts';

const DRAIN_MARGIN_MS = 200;
const SETTLE_SLICE_MS = 200;

function sharedFor(options: LoadOptions): Shared {
  const manyPorts = options.mode === 'churn' || options.mode === 'burst';
  const tally = new Tally(options);
  return {
    epfd: epollCreate(),
    target: encodeSockaddr(options.address, options.port),
    sources: new Sources(options.address, manyPorts ? options.maxConnections : 0),
    pattern: new Pattern(options.messageBytes, options.clients, options.seed, options.firstByte),
    tally,
    live: new LiveReport(options.live, tally),
    timeoutMs: options.timeoutMs,
  };
}

function clientFor(options: LoadOptions, shared: Shared): Client {
  const { mode, clients, requests, maxConnections, shape } = options;
  if (mode === 'churn') return new ChurnClient(shared, clients, requests, maxConnections);
  if (shape === 'zipf') return new ZipfClient(shared, options);
  if (mode === 'open') return new OpenClient(shared, options);
  if (shape === 'skewed') {
    return new SkewedClient(shared, clients, requests, { pids: options.watchPids, port: options.port });
  }
  return new ClosedClient(shared, clients, requests);
}

function openWindow(client: Client, { tally, live }: Shared): void {
  tally.serverCost.begin();
  tally.begin();
  client.measure(performance.now());
  live.enter('window');
}

/** Extends the warm-up until the server's CPU time per request has settled (JavaScript is still being compiled), or to its bound. */
function settle(pump: Pump, tally: Tally, settleMs: number, isOver: () => boolean): void {
  if (settleMs === 0 || Number.isNaN(tally.serverCost.nowMs())) return;
  const beganMs = performance.now();
  const settling = new Settling();
  tally.settledAfterMs = null;
  while (performance.now() - beganMs < settleMs && !pump.interrupted && !isOver()) {
    const [cpuMs, answered] = [tally.serverCost.nowMs(), tally.answered];
    pump.run(SETTLE_SLICE_MS, isOver);
    const cost = (tally.serverCost.nowMs() - cpuMs) / (tally.answered - answered);
    if (!Number.isFinite(cost) || !settling.add(cost)) continue;
    tally.settledAfterMs = performance.now() - beganMs;
    return;
  }
}

/** Connect, warm-up, window, drain. */
function driveSteady(client: Client, pump: Pump, shared: Shared, options: LoadOptions): void {
  const { tally } = shared;
  const { timeoutMs, warmupMs, durationMs, settleMs } = options;
  const tooMany = () => tally.errorCount >= ERRORS_MAX;
  client.connect();
  // Connections are opened in batches, each with its own timeout.
  pump.run(2 * timeoutMs, () => client.ready || tooMany());
  if (client.ready && !pump.interrupted) {
    if (warmupMs === 0) openWindow(client, shared);
    client.start(performance.now());
    if (warmupMs > 0) {
      const isOver = () => client.warm() || tooMany();
      pump.run(warmupMs, isOver);
      settle(pump, tally, settleMs, isOver);
      openWindow(client, shared);
    }
    pump.run(durationMs, () => client.exhausted() || tooMany());
    tally.end();
    tally.serverCost.end();
    shared.live.enter('end');
    client.stop(performance.now());
    // Open mode sends what was due for one timeout and waits for the answers for another; the margin is for the
    // tick that notices late ones.
    pump.run(2 * timeoutMs + DRAIN_MARGIN_MS, () => client.outstanding() === 0 || tooMany());
  }
  client.finish(pump.interrupted || tooMany());
}

/** Warms the generator up and runs the load. */
export function run(options: LoadOptions): LoadResult {
  if (options.echoPort > 0) warmUp(options, drive);
  return drive(options);
}

/** Runs the load. Failed connections are counted in the result, not thrown. */
function drive(options: LoadOptions): LoadResult {
  const shared = sharedFor(options);
  try {
    return driveWith(shared, options);
  } finally {
    closeFd(shared.epfd);
  }
}

function driveWith(shared: Shared, options: LoadOptions): LoadResult {
  const burst = options.mode === 'burst' ? new Burst(shared, options.clients, options.requests) : null;
  const client = burst ?? clientFor(options, shared);
  const pump = new Pump(shared, client);
  if (options.stdinStops) pump.watchStdin();
  if (burst !== null) driveBursts(burst, pump, shared, options);
  else driveSteady(client as Client, pump, shared, options); // not a Burst, so from clientFor()
  return shared.tally.result(pump.interrupted);
}
