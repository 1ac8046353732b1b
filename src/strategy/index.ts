/**
 * The name of a strategy -> the strategy. The only place that knows all of them, and what cmwq runs on in a server.
 */
import type { StrategyName } from '../options/index.ts';
import { Threads } from '../pool/threads.ts';
import { Worklist } from '../queue/worklist.ts';
import { processClock } from '../sys/clock.ts';
import { Cmwq, type CmwqHost } from './cmwq.ts';
import { createKthread } from './kthread.ts';
import type { Strategy, StrategyContext } from './strategy.ts';
import { createWorkqueue } from './workqueue.ts';

const CMWQ_HOST: CmwqHost = {
  clock: processClock,
  makeThreads: (options) => new Threads(options),
  makeWorklist: () => new Worklist(),
};

const STRATEGIES: Record<StrategyName, (context: StrategyContext) => Strategy> = {
  kthread: createKthread,
  workqueue: createWorkqueue,
  cmwq: (context) => new Cmwq(context, CMWQ_HOST),
};

/** Whether the strategy's threads wait in recv, and so need blocking sockets. */
export function blocksInRecv(name: StrategyName): boolean {
  return name !== 'cmwq';
}

export function createStrategy(name: StrategyName, context: StrategyContext): Strategy {
  return STRATEGIES[name](context);
}
