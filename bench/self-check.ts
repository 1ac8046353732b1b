/**
 * How good the load generator is at a load: its median response time beside that of the C client (peers/client.c), or
 * where that cannot do the load or be built, beside what it measured.
 *
 * Both clients load the generator's own echo server, one after another, in short runs of new processes. The main thread only
 * waits.
 */
import { ChildProcess, type Placement } from './child-process.ts';
import type { Arrivals, Mode, Shape } from './load/result.ts';
import type { LoadResult, SelfCheck } from './load/schema.ts';
import { startLoad } from './load/start.ts';
import { builtPeer } from './programs.ts';
import type { ServerUnderTest } from './server-under-test.ts';

const WARMUP_MS = 100;
const DURATION_MS = 300;
/** Longer at low rates, for as many samples. */
const SAMPLES_MIN = 30;
const DURATION_MS_MAX = 2_000;
const TIMEOUT_MS = 2_000;
/** Bounds one run. */
const RUN_MS_MAX = 60_000;
/** The C client's limits. */
const C_CLIENTS_MAX = 4096;
const C_BYTES_MAX = 65_536;

export interface CheckedLoad {
  mode: Mode;
  clients: number;
  messageBytes: number;
  /** Open mode. */
  rate: number | null;
  arrivals: Arrivals;
  shape: Shape;
  /** Burst mode: of each client. */
  requests: number;
}

/** The C client's binary, if it can be built and can do this load. */
function cClientFor({ mode, clients, messageBytes, rate, arrivals, shape }: CheckedLoad): string | null {
  const isSimple = mode !== 'churn' && arrivals === 'even' && shape !== 'zipf' && Number.isInteger(rate ?? 0);
  if (!isSimple || clients > C_CLIENTS_MAX || messageBytes > C_BYTES_MAX) return null;
  try {
    return builtPeer('client.c');
  } catch {
    return null; // no compiler, or an installed package, which has no sources
  }
}

function durationMs(rate: number | null): number {
  if (rate === null) return DURATION_MS;
  return Math.ceil(Math.min(DURATION_MS_MAX, Math.max(DURATION_MS, (SAMPLES_MIN * 1000) / rate)));
}

function flagsOf(load: CheckedLoad, port: number): Record<string, string | number> {
  const { mode, clients, messageBytes, rate, requests } = load;
  return {
    port,
    mode,
    clients,
    bytes: messageBytes,
    'warmup-ms': WARMUP_MS,
    'duration-ms': durationMs(rate),
    ...(mode === 'burst' ? { requests } : {}),
    ...(rate === null ? {} : { rate }),
  };
}

/** Null when it measured nothing. */
async function ownMs(load: CheckedLoad, echo: ServerUnderTest, placement: Placement): Promise<number | null> {
  const flags = {
    ...flagsOf(load, echo.port),
    arrivals: load.arrivals,
    shape: load.shape === 'skewed' ? 'even' : load.shape, // the echo has one event loop
    'timeout-ms': TIMEOUT_MS,
    'echo-port': echo.port,
  };
  const { response } = await startLoad(flags, placement).result<LoadResult>(RUN_MS_MAX);
  return response.count === 0 ? null : response.p50Ms;
}

async function cMs(binary: string, load: CheckedLoad, port: number, placement: Placement): Promise<number> {
  const args = Object.entries(flagsOf(load, port)).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const child = new ChildProcess('C client', binary, args, undefined, placement);
  return (await child.result<{ p50Ms: number }>(RUN_MS_MAX)).p50Ms;
}

/** Null when a run failed. `measuredMs` is the median response time of the server under test at this load. */
export async function selfCheck(
  load: CheckedLoad,
  measuredMs: number,
  echo: ServerUnderTest,
  placement: Placement = {},
): Promise<SelfCheck | null> {
  const client = cClientFor(load);
  try {
    const generatorMs = await ownMs(load, echo, placement);
    const otherMs = client === null ? measuredMs : await cMs(client, load, echo.port, placement);
    if (generatorMs === null || otherMs === 0) return null;
    const against = client === null ? 'measured' : 'C client';
    return { against, generatorMs, otherMs, ratio: generatorMs / otherMs };
  } catch {
    return null;
  }
}

export function selfCheckText(check: SelfCheck | null): string {
  if (check === null) return 'self-check of the generator: failed';
  const { against, generatorMs, otherMs, ratio } = check;
  const own = `self-check: the generator measures ${generatorMs.toFixed(3)} ms (p50) with an echo of its own, `;
  return against === 'C client'
    ? `${own}${ratio.toFixed(2)} times the C client's ${otherMs.toFixed(3)} ms`
    : `${own}${Number(ratio.toPrecision(2))} of the ${otherMs.toFixed(3)} ms measured (no C client for this load)`;
}
