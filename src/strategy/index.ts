/**
 * Creates a strategy by name. The only place that knows all of them.
 */
import type { StrategyName } from '../options/index.ts';
import { createCmwq } from './cmwq.ts';
import { createKthread } from './kthread.ts';
import type { Strategy, StrategyContext } from './strategy.ts';
import { createWorkqueue } from './workqueue.ts';

const STRATEGIES: Record<StrategyName, (context: StrategyContext) => Strategy> = {
  kthread: createKthread,
  workqueue: createWorkqueue,
  cmwq: createCmwq,
};

/** Whether the strategy's threads wait in recv, and so need blocking sockets. */
export function blocksInRecv(name: StrategyName): boolean {
  return name !== 'cmwq';
}

export function createStrategy(name: StrategyName, context: StrategyContext): Strategy {
  return STRATEGIES[name](context);
}
