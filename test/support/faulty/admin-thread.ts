/**
 * The admin endpoint's thread, with faults that a test orders (../admin-faults.ts).
 */
import { BroadcastChannel } from 'node:worker_threads';
import '../../../src/admin/thread.ts';
import { type AdminFault, CHANNEL } from '../admin-faults.ts';

const FAULTS: Record<AdminFault, () => void> = {
  throw: () => {
    throw new Error('broken on purpose');
  },
  exit: () => process.exit(),
  outOfMemory: () => {
    const held: number[][] = [];
    for (;;) held.push(new Array<number>(500_000).fill(held.length));
  },
  hang: () => {
    for (;;);
  },
};

const channel = new BroadcastChannel(CHANNEL);
channel.onmessage = ({ data }) => void setImmediate(FAULTS[data as AdminFault]);
