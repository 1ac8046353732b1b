/**
 * What runs beside the measured load: processes that compute, slow readers, other clients. Child processes, which end()
 * or the end of this process ends.
 */
import { join } from 'node:path';
import { ChildProcess, type Placement } from '../child-process.ts';
import { isFar } from '../load/command/locate.ts';
import type { TargetAddress } from '../load/command/values.ts';
import { DURATION_MS_MAX } from '../load/load-options.ts';
import type { LoadResult } from '../load/schema.ts';
import { startLoad } from '../load/start.ts';
import { EXTENSION } from '../programs.ts';
import type { Company } from './experiment-points.ts';

const READY_TIMEOUT_MS = 10_000;
const END_TIMEOUT_MS = 15_000;

export interface Running extends AsyncDisposable {
  /** Ends it, and returns the number of wrong bytes or echoes it got. */
  end(): Promise<number>;
}

/** Starts a program of this folder and waits for its line "ready". */
async function started(
  name: string,
  args: readonly string[] = [],
  placement: Placement = {},
  onLine = (_line: string) => {},
): Promise<ChildProcess> {
  const ready = Promise.withResolvers<void>();
  const file = join(import.meta.dirname, `${name}${EXTENSION}`);
  const take = (line: string) => (line === 'ready' ? ready.resolve() : onLine(line));
  const child = new ChildProcess(name, process.execPath, [file, ...args], take, placement);
  try {
    await child.unlessItEnds(ready.promise, 'ready', READY_TIMEOUT_MS);
    return child;
  } catch (error) {
    await child.stop(true);
    throw error;
  }
}

async function busy(count: number): Promise<Running> {
  const starts = await Promise.allSettled(Array.from({ length: count }, () => started('busy')));
  const children = starts.flatMap((start) => (start.status === 'fulfilled' ? [start.value] : []));
  const stop = async () => {
    await Promise.all(children.map((child) => child.stop(true)));
  };
  const failed = starts.find((start) => start.status === 'rejected');
  if (failed !== undefined) {
    await stop();
    throw failed.reason;
  }
  const end = async () => {
    const gone = children.find(({ ended }) => ended !== null);
    await stop();
    if (gone !== undefined) throw new Error(`busy process: ${gone.ended}${gone.stderrSummary}`);
    return 0;
  };
  return { end, [Symbol.asyncDispose]: stop };
}

async function slowReaders(
  count: number,
  { address, port }: TargetAddress,
  placement: Placement,
): Promise<Running> {
  let wrong = 0;
  const child = await started('slow-readers', [String(port), String(count), address], placement, (line) => {
    wrong = (JSON.parse(line) as { wrong: number }).wrong;
  });
  const end = async () => {
    const { ended, stderrSummary } = child;
    await child.stop();
    if (ended !== null) throw new Error(`slow readers: ${ended}${stderrSummary}`);
    return wrong;
  };
  return { end, [Symbol.asyncDispose]: () => child.stop() };
}

/** As in churn mode: connect, one request, close. */
function others(
  count: number,
  { address, port }: TargetAddress,
  firstByte: number,
  placement: Placement,
): Running {
  const flags = {
    mode: 'churn',
    address,
    port,
    remote: isFar(address),
    clients: count,
    'first-byte': firstByte,
    'warmup-ms': 0,
    'duration-ms': DURATION_MS_MAX,
    'timeout-ms': END_TIMEOUT_MS / 2,
    'stdin-stops': true,
  };
  const generator = startLoad(flags, placement);
  const end = async () => {
    generator.endInput();
    const { errors } = await generator.result<LoadResult>(END_TIMEOUT_MS);
    return errors.wrongBytes;
  };
  return { end, [Symbol.asyncDispose]: () => generator.stop() };
}

/** `placement` is that of the clients among them; busy processes use all processors. */
export async function startCompany(
  company: Company,
  target: TargetAddress,
  placement: Placement = {},
): Promise<Running> {
  switch (company.kind) {
    case 'busy':
      return await busy(company.count);
    case 'slow':
      return await slowReaders(company.count, target, placement);
    case 'other':
      return others(company.count, target, company.firstByte, placement);
  }
}
